use super::*;

#[test]
fn memory_reads_as_kubernetes_does() {
    let read = |t: &str| t.parse::<Memory>().map(|m| m.0).ok();
    assert_eq!(read("64Mi"), Some(64 << 20));
    assert_eq!(read("1.5Gi"), Some(3 << 29));
    assert_eq!(read("128974848"), Some(128_974_848));
    assert_eq!(read("1M"), Some(1_000_000));
    for bad in ["", "Mi", "-1", "1e3", "64MB", "1.", "64 Mi", "99999999999Ti"] {
        assert_eq!(read(bad), None, "{bad}");
    }
}

#[test]
fn cpu_reads_cores_and_thousandths() {
    let read = |t: &str| t.parse::<Cpu>().map(|c| c.millis).ok();
    assert_eq!(read("500m"), Some(500));
    assert_eq!(read("2"), Some(2000));
    assert_eq!(read("0.25"), Some(250));
    for bad in ["", "m", "0.5m", "-1", "half"] {
        assert_eq!(read(bad), None, "{bad}");
    }
}

#[test]
fn quantities_write_what_they_read() {
    for text in ["64Mi", "1Gi", "1000"] {
        assert_eq!(text.parse::<Memory>().unwrap().to_string(), text);
    }
    for text in ["30s", "1h30m", "500ms", "1m30s", "0s"] {
        assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
    }
    assert_eq!(serde_json::from_str::<Cpu>("2").unwrap().to_string(), "2000m");
    assert_eq!(serde_json::from_str::<Cpu>("0.5").unwrap().to_string(), "500m");
    assert!("-3s".parse::<Span>().is_err());
}
