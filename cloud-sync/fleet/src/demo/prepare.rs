//! Steps 1 to 4: the broker, the keys, the image, the node.

use std::ffi::OsStr;
use std::fs;

use anyhow::Context;
use skerry_core::ids::Digest;
use skerry_core::trust::PublicKey;
use skerry_core::trust::catalogue::ImageNotes;

use super::stage::{NODE, Stage, fact, readable};
use crate::init::{self, InitArgs};
use crate::workspace::{Overrides, REPOSITORIES, ROLES, Workspace};
use crate::{images, nodes};

pub async fn broker(stage: &mut Stage) -> anyhow::Result<()> {
    stage.step("A broker starts, embedded in skerry-fleet")?;
    let pid = stage.start_broker().await?;
    fact(&format!("{} (MQTT 5, in memory), process {pid}", stage.url()))?;
    fact(&format!("everything is kept in {}", stage.dir.display()))
}

pub fn keys(stage: &mut Stage) -> anyhow::Result<Workspace> {
    stage.step("The operator makes keys, and roots that say which key may sign what")?;
    let overrides = Overrides {
        broker: Some(stage.url()),
        tenant: Some("demo".to_owned()),
        ..Overrides::default()
    };
    let workspace = init::make(&stage.dir.join("fleet"), &overrides, &InitArgs::plain())?;
    for of in REPOSITORIES {
        for role in ROLES {
            let key = PublicKey::of(&workspace.key(of, role)?);
            fact(&format!("{:<8} {:<9} ed25519 {}", of.name(), role.name(), key.to_hex()))?;
        }
    }
    Ok(workspace)
}

pub async fn image(stage: &mut Stage, workspace: &Workspace) -> anyhow::Result<Digest> {
    stage
        .step("A folder becomes an OCI image, which the operator calls genuine, and is imported")?;
    readable(&stage.sensor)?;
    let folder = stage.dir.join("rootfs");
    fs::create_dir(&folder).context("cannot create the image's folder")?;
    fs::copy(&stage.sensor, folder.join("sensor")).context("cannot copy the sample agent")?;
    let tar = stage.dir.join("sensor.tar");
    let words: [&OsStr; 7] = [
        "image".as_ref(),
        "pack".as_ref(),
        folder.as_ref(),
        "--entrypoint".as_ref(),
        "/sensor".as_ref(),
        "-o".as_ref(),
        tar.as_ref(),
    ];
    stage.skerry.run(&words).await?;
    let size = fs::metadata(&tar).context("skerry image pack wrote no file")?.len();
    fact(&format!("skerry image pack: {} ({size} bytes)", tar.display()))?;
    let found = images::read(&tar.display().to_string())?;
    for line in images::genuine(workspace, &found, &ImageNotes::default())? {
        fact(&format!("skerry-fleet images add: {line}"))?;
    }
    let words: [&OsStr; 6] = [
        "image".as_ref(),
        "import".as_ref(),
        tar.as_ref(),
        "--name".as_ref(),
        "sensor".as_ref(),
        "--quiet".as_ref(),
    ];
    let said = stage.skerry.run(&words).await?;
    let digest = said.parse::<Digest>().context("skerry image import did not print a digest")?;
    fact(&format!("skerry image import: sensor is {digest}"))?;
    Ok(digest)
}

pub async fn node(stage: &mut Stage, workspace: &Workspace) -> anyhow::Result<PublicKey> {
    stage.step(&format!("The node {NODE} starts, and trusts those roots alone"))?;
    let dir = stage.dir.display();
    // Short pauses between attempts, so that nobody who watches has to wait.
    let config = format!(
        "node = \"{NODE}\"\nstate_dir = \"{dir}/state\"\nrun_dir = \"{dir}/run\"\n\
         cgroup = \"{cgroup}\"\n\n[trust]\nroot = \"{root}\"\n\n\
         [broker]\nurl = \"{url}\"\ntenant = \"demo\"\n\
         reconnect_min = \"200ms\"\nreconnect_max = \"1s\"\n",
        cgroup = stage.cgroup,
        root = workspace.root_path().display(),
        url = stage.url(),
    );
    let path = stage.write("skerry.toml", &config)?;
    let pid = stage.start_node().await?;
    fact(&format!("skerry node --config {}, process {pid}", path.display()))?;
    let status = stage.skerry.status().await?;
    let key = PublicKey::from_hex(&status.public_key).context("skerry status shows no key")?;
    nodes::add(workspace, &stage.node_name()?, key, false)?;
    fact(&format!(
        "it made its own key, and the operator keeps the public half: {}",
        key.to_hex()
    ))?;
    Ok(key)
}
