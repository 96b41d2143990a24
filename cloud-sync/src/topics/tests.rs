use proptest::prelude::*;

use super::*;

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        9 => "[A-Za-z0-9._-]{1,20}".prop_map(|text| text.parse().unwrap()),
        // The words of the grammar, where a clever name could be taken for something else.
        1 => prop::sample::select(vec![
            "group", "desired", "command", "blob", "report", "status", "skerry", "v1", "log",
        ])
        .prop_map(|text| text.parse().unwrap()),
    ]
}

fn address() -> impl Strategy<Value = Address> {
    (name(), name()).prop_filter_map("a node cannot be called group", |(tenant, node)| {
        Address::new(tenant, node).ok()
    })
}

fn topic() -> impl Strategy<Value = Topic> {
    let up = prop_oneof![
        Just(Up::Report),
        Just(Up::Status),
        Just(Up::Event),
        (name(), name()).prop_map(|(agent, channel)| Up::Telemetry { agent, channel }),
        name().prop_map(|agent| Up::Log { agent }),
        name().prop_map(|id| Up::Reply { id }),
    ];
    let down = prop_oneof![
        Just(Down::Desired),
        name().prop_map(Down::Command),
        prop::collection::vec(name(), 1..=BLOB_PARTS_MAX)
            .prop_map(|parts| Down::Blob(BlobPath::new(parts).unwrap())),
    ];
    prop_oneof![
        (address(), up).prop_map(|(node, up)| Topic::Up(node, up)),
        (address(), down).prop_map(|(node, down)| Topic::Down(node, down)),
        (name(), name()).prop_map(|(tenant, group)| Topic::Group { tenant, group }),
    ]
}

/// MQTT's own matching rule, for the filters.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(topic in topic()) {
        prop_assert_eq!(topic.to_string().parse::<Topic>(), Ok(topic));
    }

    #[test]
    fn what_is_read_is_built_again(text in "(skerry/v1/)?([a-z+#]{0,8}/){0,12}[a-z]{0,8}") {
        if let Ok(topic) = text.parse::<Topic>() {
            prop_assert_eq!(topic.to_string(), text);
        }
    }

    #[test]
    fn a_node_hears_exactly_what_is_for_it(topic in topic(), node in address(), group in name()) {
        let heard = node_filters(&node, std::slice::from_ref(&group))
            .iter()
            .any(|filter| matches(filter, &topic.to_string()));
        let mine = match &topic {
            Topic::Down(to, _) => *to == node,
            Topic::Group { tenant, group: to } => tenant == node.tenant() && *to == group,
            Topic::Up(..) => false,
        };
        prop_assert_eq!(heard, mine);
        for own in [Down::Desired, Down::GroupDesired(group), Down::Command("1".parse().unwrap())] {
            let topic = own.topic(&node);
            prop_assert!(node_filters(&node, &[]).iter().any(|f| matches(f, &topic))
                || matches!(own, Down::GroupDesired(_)));
        }
    }

    #[test]
    fn an_operator_hears_all_that_goes_up_and_nothing_else(topic in topic(), tenant in name()) {
        let heard = UpKind::ALL
            .iter()
            .filter(|kind| matches(&kind.filter(&tenant, None), &topic.to_string()))
            .count();
        let expected = matches!(&topic, Topic::Up(node, _) if *node.tenant() == tenant);
        prop_assert_eq!(heard, usize::from(expected));
    }
}

#[test]
fn a_node_cannot_be_called_group() {
    let name = |text: &str| text.parse::<Name>().unwrap();
    assert_eq!(Address::new(name("t"), name("group")), Err(TopicError::NodeNamedGroup));
    assert_eq!("skerry/v1/t/group/desired".parse::<Topic>(), Err(TopicError::NodeNamedGroup));
    assert_eq!("skerry/v1/t/group/blob/x".parse::<Topic>(), Err(TopicError::NodeNamedGroup));
    assert_eq!(
        "skerry/v1/t/group/blob/desired".parse::<Topic>(),
        Ok(Topic::Group { tenant: name("t"), group: name("blob") })
    );
}

#[test]
fn strange_topics_are_refused() {
    for text in [
        "",
        "/",
        "skerry/v1",
        "skerry/v2/t/n/desired",
        "skerry/v1/t/n",
        "skerry/v1/t/n/",
        "skerry/v1/t/n/desired/",
        "skerry/v1/t/n/desired/x",
        "skerry/v1//n/desired",
        "skerry/v1/t/+/desired",
        "skerry/v1/t/n/blob",
        "skerry/v1/t/n/blob/1/2/3/4/5/6/7/8/9",
        "skerry/v1/t/n/command/a/b",
        "skerry/v1/t/n/log/\u{0}",
        "$SYS/broker",
    ] {
        assert!(text.parse::<Topic>().is_err(), "{text:?} was taken for a topic");
    }
}
