use super::super::tests::{image, spec};
use super::*;

fn of_image(config: ImageConfig) -> Image {
    let digest = skerry_core::ids::Digest::of(b"");
    Image { digest, config, layers: Vec::new(), size: 0 }
}

#[test]
fn command_and_args_combine_as_in_kubernetes() {
    let run = |c, a| program(&spec(c, a), &image()).unwrap().join(" ");
    assert_eq!(run(None, None), "/entry default");
    assert_eq!(run(None, Some(&["x"])), "/entry x");
    assert_eq!(run(Some(&["/other"]), None), "/other");
    assert_eq!(run(Some(&["/other"]), Some(&["x"])), "/other x");
    assert!(program(&spec(None, None), &ImageConfig::default()).is_err());
}

#[test]
fn the_spec_s_user_goes_before_the_image_s() {
    let image = of_image(ImageConfig { user: Some("1000:100".into()), ..image() });
    let mut spec = spec(None, None);
    let ids = |spec: &AgentSpec| user(spec, &image).map(|user| (user.uid, user.gid)).unwrap();
    assert_eq!(ids(&spec), (1000, 100));
    spec.user = Some("7:8".into());
    assert_eq!(ids(&spec), (7, 8));
    spec.user = None;
    spec.security.run_as_group = Some(9);
    assert_eq!(ids(&spec), (1000, 9));
    spec.security.run_as_user = Some(5);
    spec.security.supplemental_groups = vec![20, 20, 21];
    let found = user(&spec, &image).unwrap();
    assert_eq!((found.uid, found.gid, found.additional_gids), (5, 9, vec![20, 21]));
}

#[test]
fn the_stop_signal_is_the_spec_s_or_the_image_s_or_sigterm() {
    let with = |word: Option<&str>| ImageConfig { stop_signal: word.map(Into::into), ..image() };
    let mut spec = spec(None, None);
    assert_eq!(stop(&spec, &with(None)).unwrap().signal, 15);
    assert_eq!(stop(&spec, &with(Some("SIGINT"))).unwrap().signal, 2);
    assert!(stop(&spec, &with(Some("SIGNONE"))).is_err());
    spec.stop.signal = Some("SIGUSR1".parse().unwrap());
    assert_eq!(stop(&spec, &with(Some("SIGNONE"))).unwrap().signal, 10);
}

#[test]
fn priority_becomes_weights_that_need_not_be_kept() {
    let mut spec = spec(None, None);
    assert_eq!(limits(&spec), skerry_runtime::Limits::default());
    spec.priority = Priority::High;
    let made = limits(&spec);
    assert_eq!(made.cpu_weight, Some(400));
    assert_eq!(made.io_weight, Some(IoWeight { value: 400, required: false }));
    spec.resources.limits.io.weight = Some(50);
    assert_eq!(limits(&spec).io_weight, Some(IoWeight { value: 50, required: true }));
}

#[test]
fn a_profile_is_taken_word_by_word() {
    let profile = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"syscalls":[
        {"names":["read"],"action":"SCMP_ACT_ALLOW",
         "args":[{"index":1,"value":2,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#;
    let made = filter(&serde_json::from_str(profile).unwrap()).unwrap();
    assert_eq!((made.default_action, made.default_errno_ret), (Action::Errno, Some(38)));
    let op = Compare::MaskedEqual;
    assert_eq!(made.syscalls[0].args, [Argument { index: 1, value: 2, value_two: 3, op }]);
}
