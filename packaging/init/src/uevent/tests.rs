use super::*;

#[test]
fn fields_are_found_and_the_rest_is_ignored() {
    let message =
        b"add@/devices/pci0/net/eth0\0ACTION=add\0SUBSYSTEM=net\0INTERFACE=eth0\0SEQNUM=7\0";
    let event = Event::parse(message);
    assert_eq!(event.action, "add");
    assert_eq!(event.subsystem, "net");
    assert_eq!(event.interface.as_deref(), Some("eth0"));
    assert_eq!(event.modalias, None);
    assert_eq!(Event::parse(b""), Event::default());
    assert_eq!(Event::parse(b"\xff\0ACTION\0=\0"), Event::default());
}
