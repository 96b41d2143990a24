use super::*;

#[test]
fn the_nodes_keys_are_not_ours() {
    let settings = parse("node = 'box-17'\n[broker]\nurl = 'mqtt://x'\n").unwrap();
    assert_eq!(settings.node.as_deref(), Some("box-17"));
    assert_eq!(settings.device, Device::default());
    assert!(settings.problems.is_empty());
    assert!(!settings.device.shell, "no shell unless somebody asks for it");
}

#[test]
fn a_device_is_told_what_it_is() {
    let text = "[device]\nhostname = 'pole'\nshell = true\nconsole = 'log'\nntp = ['pool.ntp']\n\
                modules = ['cdc_ether']\n[device.network]\naddress = '10.1.1.2/24'\ndns = ['10.1.1.1']\n";
    let device = parse(text).unwrap().device;
    assert_eq!(device.hostname.as_deref(), Some("pole"));
    assert!(device.shell);
    assert_eq!(device.console, Console::Log);
    assert_eq!(device.network.address.as_deref(), Some("10.1.1.2/24"));
    assert_eq!(device.network.dns, ["10.1.1.1"]);
}

#[test]
fn a_mistake_costs_only_itself() {
    let settings = parse("[device]\nshell = 'yes'\nhostnam = 'a'\nhostname = 'b'\n").unwrap();
    assert_eq!(settings.device.hostname.as_deref(), Some("b"));
    assert!(!settings.device.shell);
    assert_eq!(settings.problems.len(), 2, "{:?}", settings.problems);
    assert!(settings.problems.iter().any(|problem| problem.contains("hostnam")));
    let settings = parse("device = 3\nnode = 'n'\n").unwrap();
    assert_eq!((settings.node.as_deref(), settings.problems.len()), (Some("n"), 1));
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    let error = parse("node = 'a'\nshell = \n").unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
}
