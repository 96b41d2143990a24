//! What must hold of a device that was cut off and has booted again. It asks, compares, and lists what
//! is broken; nothing is repaired here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::promises::Promises;
use crate::machine::Machine;

/// Kernel's and harness's own troubles, the node's, and everything that it keeps.
const LOOK: &str = r"
cat /run/trouble 2>/dev/null
dmesg | grep -E 'EXT4-fs (error|warning)|I/O error|Kernel panic|BUG:'
{ cat /run/node.log 2>/dev/null || dmesg; } | grep panicked
echo @status; skerry status --format json
echo @wishes; skerry inspect wish0 wish1 wish2 wish3 wish4 2>/dev/null
echo @images; skerry image ls --format json
cd /var/lib/skerry/blobs/sha256 && echo @blobs && ls | xargs -r sha256sum
cd /var/lib/skerry/layers && echo @layers && for layer in *; do
    [ -d $layer ] && echo $layer $(cd $layer && find . -type f | sort | xargs sha256sum | sha256sum)
done
echo @end
";

/// What the unpacked layers hold, by their names.
pub type Layers = BTreeMap<String, String>;

/// All that was found.
#[derive(Debug)]
pub struct Found {
    parts: BTreeMap<String, String>,
    complete: bool,
    /// Unpacked layers with the digest of all they hold.
    pub layers: Layers,
}

impl Found {
    /// Looks at a device.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        let said = machine.sh(LOOK);
        let mut parts = BTreeMap::<String, String>::new();
        let mut part = "trouble".to_owned();
        for line in said.stdout.lines() {
            match line.strip_prefix('@') {
                Some(name) => part = name.to_owned(),
                None => parts.entry(part.clone()).or_default().push_str(&format!("{line}\n")),
            }
        }
        let text = parts.get("layers").map_or("", String::as_str);
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        let first = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        let layers = pairs.map(|(name, hash)| (name.to_owned(), first(hash))).collect();
        Self { complete: said.stdout.ends_with("@end\n"), parts, layers }
    }

    fn text(&self, part: &str) -> &str {
        self.parts.get(part).map_or("", String::as_str)
    }

    fn json(&self, part: &str) -> Value {
        serde_json::from_str(self.text(part)).unwrap_or_default()
    }

    /// The version of the document in force, 0 without one.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.json("status")["document"]["version"].as_u64().unwrap_or(0)
    }

    /// What the node says of a state that it had to mend.
    #[must_use]
    pub fn repair(&self) -> Option<String> {
        self.json("status")["storeNotice"].as_str().map(str::to_owned)
    }

    /// Digests of images by their names.
    #[must_use]
    pub fn images(&self) -> BTreeMap<String, String> {
        let mut images = BTreeMap::new();
        for image in list(&self.json("images")) {
            for name in list(&image["names"]).iter().filter_map(Value::as_str) {
                let name = name.trim_end_matches(":latest").to_owned();
                images.insert(name, text(&image["digest"]).to_owned());
            }
        }
        images
    }

    /// The values of everything that [`Promises`] are about.
    #[must_use]
    pub fn kept(&self) -> BTreeMap<String, String> {
        let wishes = self.json("wishes");
        let wishes = list(&wishes).iter().map(|wish| {
            let value = text(&wish["desired"]["env"]["VALUE"]);
            (format!("wish/{}", text(&wish["name"])), value.to_owned())
        });
        let images = self.images().into_iter().filter(|(name, _)| name.starts_with("img"));
        wishes.chain(images.map(|(name, digest)| (format!("image/{name}"), digest))).collect()
    }

    /// Everything that is broken.
    #[must_use]
    pub fn broken(
        &self,
        promises: &mut Promises,
        documents: (u64, u64),
        layers: &Layers,
    ) -> Vec<String> {
        let mut broken: Vec<String> = self.text("trouble").lines().map(str::to_owned).collect();
        if !self.complete || self.json("status").is_null() {
            broken.push("the node does not say its status".to_owned());
        }
        let (acknowledged, published) = documents;
        if !(acknowledged..=published).contains(&self.version()) {
            broken.push(format!(
                "document {} is in force; {acknowledged} was reported, {published} published",
                self.version()
            ));
        }
        broken.extend(promises.judge(&self.kept()));
        broken.extend(self.broken_images(layers));
        broken
    }

    /// Images that are half there, and content that is not what its name says.
    fn broken_images(&self, layers: &Layers) -> Vec<String> {
        let mut broken = Vec::new();
        let pairs = self.text("blobs").lines().filter_map(|line| line.split_once("  "));
        let blobs: BTreeMap<&str, &str> = pairs.map(|(hash, name)| (name, hash)).collect();
        for (name, hash) in blobs.iter().filter(|(name, hash)| name != hash) {
            broken.push(format!("blob {name} has the digest {hash}"));
        }
        for (name, hash) in &self.layers {
            match layers.get(name) {
                Some(right) if right == hash => {}
                Some(_) => broken.push(format!("layer {name} does not hold what it should")),
                None => broken.push(format!("layer {name} comes from nowhere")),
            }
        }
        for image in list(&self.json("images")) {
            let parts = [&image["digest"], &image["config"]];
            for part in parts.into_iter().map(hex).filter(|part| !blobs.contains_key(part)) {
                broken.push(format!("image {} lacks the blob {part}", image["names"]));
            }
            let missing = |layer: &&str| !self.layers.contains_key(*layer);
            for layer in list(&image["layers"]).iter().map(hex).filter(missing) {
                broken.push(format!("image {} lacks the layer {layer}", image["names"]));
            }
        }
        broken
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn hex(digest: &Value) -> &str {
    text(digest).trim_start_matches("sha256:")
}
