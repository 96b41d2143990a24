use super::*;

const DEP: &str = "\
kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko kernel/fs/mbcache.ko
kernel/fs/jbd2/jbd2.ko:
kernel/lib/crc16.ko:
kernel/fs/mbcache.ko:
kernel/crypto/crc32c_generic.ko:
kernel/arch/x86/crypto/crc32c-intel.ko:
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio.ko:
kernel/drivers/net/e1000e.ko:
";
const ALIAS: &str = "\
# Aliases extracted from modules themselves.
alias fs-ext4 ext4
alias crypto-crc32c crc32c_generic
alias crypto-crc32c crc32c-intel
alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci
alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e
alias usb:v0BDAp8152d*dc*dsc*dp*ic0[2-9]isc*ip*in* r8152
";
const SOFTDEP: &str = "softdep ext4 pre: crc32c\nsoftdep jbd2 pre: crypto-crc32c post: other\n";

fn index() -> Index {
    Index::new(DEP.to_owned(), ALIAS.to_owned(), SOFTDEP.to_owned())
}

fn resolved(name: &str) -> Vec<String> {
    index().resolve(name).into_iter().map(str::to_owned).collect()
}

#[test]
fn what_is_needed_comes_first() {
    let order: Vec<String> =
        index().order("virtio_pci").into_iter().map(|file| name_of(file).to_owned()).collect();
    assert_eq!(order, ["virtio", "virtio_ring", "virtio_pci"]);
    let order: Vec<String> =
        index().order("ext4").into_iter().map(|file| name_of(file).to_owned()).collect();
    assert_eq!(order.last().unwrap(), "ext4");
    let place = |name: &str| order.iter().position(|other| other == name).unwrap();
    assert!(place("crc32c-intel") < place("jbd2"), "{order:?}");
    assert_eq!(order.len(), 6, "each once: {order:?}");
}

#[test]
fn devices_and_the_kernels_wishes_find_their_modules() {
    assert_eq!(resolved("fs-ext4"), ["ext4"]);
    assert_eq!(resolved("crypto-crc32c"), ["crc32c-intel", "crc32c_generic"]);
    assert_eq!(resolved("crc32c_intel"), ["crc32c-intel"]);
    assert_eq!(resolved("pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00"), ["virtio_pci"]);
    assert_eq!(resolved("pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00"), ["e1000e"]);
    assert!(resolved("pci:v00008086d000010D4sv00008086sd00000000bc02sc00i00").is_empty());
    assert!(resolved("usb:nothing").is_empty());
    assert!(resolved("").is_empty());
}

#[test]
fn patterns_are_a_shells() {
    for (pattern, name, expected) in [
        ("*", "", true),
        ("a*c", "abbc", true),
        ("a*c", "abbd", false),
        ("*b*b*", "abab", true),
        ("a?", "a", false),
        ("x[0-9a-f]y", "xcy", true),
        ("x[0-9a-f]y", "xgy", false),
        ("x[", "x[", false),
        ("", "", true),
        ("", "a", false),
    ] {
        assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
    }
}

#[test]
fn a_circle_of_wishes_ends() {
    let text = str::to_owned;
    let wishes = "softdep a pre: b\nsoftdep b pre: a\n";
    let index = Index::new(text("a.ko: b.ko\nb.ko: a.ko\n"), String::new(), text(wishes));
    assert!(!index.order("a").is_empty());
}
