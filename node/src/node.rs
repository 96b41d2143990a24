//! The node process: wiring, and the order of a boot.
//!
//! State first, agents second, the local API third, and the network last: nothing local waits for
//! it. Every task below is one file: [`crate::ledger`], [`crate::reconciler`], [`crate::http`],
//! [`crate::link`], [`crate::reporter`].

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use skerry_core::bundle::Audience;
use skerry_core::report::{Host, Presence};
use skerry_core::trust::Roots;
use skerry_core::trust::enrolment::{Enrolment, Token};
use skerry_core::trust::repositories::ROOTS_MAX;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::audit::Audit;
use crate::cli::NodeArgs;
use crate::config::{Config, Override};
use crate::containers::Containers;
use crate::down::{self, Mark};
use crate::http;
use crate::identity::Identity;
use crate::ledger::{Belief, Desk, Ledger};
use crate::levels::Levels;
use crate::link;
use crate::notify::Notify;
use crate::outbox::StoredOutbox;
use crate::quiet;
use crate::reconciler::Reconciler;
use crate::reload::{self, Hands, Origin, Reload};
use crate::reporter::{self, Counter, Speaker};
use crate::store::{HealingStore, Store};
use crate::timekeeper;
use crate::troubles::{self, Troubles};

/// Runs the node until it is told to end. Agents go on without it.
///
/// # Errors
/// What keeps it from running, with the way out where there is one.
pub fn main(args: NodeArgs) -> anyhow::Result<()> {
    let flags = overrides(&args);
    let config = Config::load(args.config.as_deref(), &flags)?;
    let levels = Levels::begin(args.log.as_deref(), config.log_level.as_deref());
    let origin = Origin { file: args.config, flags };
    // The name of a folder that agents' records stand in must not be guessed at by others.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .context("cannot begin the event loop")?;
    runtime.block_on(run(config, origin, levels))
}

fn overrides(args: &NodeArgs) -> Vec<Override> {
    let path = |path: &Path| path.display().to_string();
    let flags = [
        ("node", args.name.as_ref().map(ToString::to_string)),
        ("broker.tenant", args.tenant.as_ref().map(ToString::to_string)),
        ("broker.url", args.broker.clone()),
        ("run_dir", args.run_dir.as_deref().map(path)),
        ("state_dir", args.state_dir.as_deref().map(path)),
    ];
    flags.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

async fn run(config: Config, origin: Origin, levels: Levels) -> anyhow::Result<()> {
    let name = config.node_name()?;
    let audience = Audience { node: name.clone(), groups: config.groups.clone() };
    let belief = belief(&config)?;
    let troubles = Troubles::default();
    let descriptors = skerry_runtime::raise_descriptor_limit();
    tracing::debug!(descriptors, "open files that this process may have");
    let (disk, notice) = HealingStore::open(&config.state_dir.join("state"), troubles.clone())?;
    if let Some(notice) = &notice {
        tracing::error!(notice, "state");
    }
    let store: Arc<dyn Store> = disk.clone();
    let identity = Arc::new(Identity::load(&config.state_dir)?);
    let kernel = skerry_runtime::Kernel::probe().context("cannot look at the kernel's cgroups")?;
    let cgroup = format!("{:?}", kernel.version()).to_lowercase();

    let profile = reload::profile(&config);
    let local = config.local.wishes;
    let (ledger, public) = Ledger::load(store.clone(), audience, belief, local, profile)?;
    let audit = Audit::open(&config.state_dir, identity.clone(), name.clone());
    let ledger = ledger.audited(audit.clone());
    let (desk, requests) = Desk::new();
    let containers = Arc::new(Containers::new(&config)?);
    let images = Arc::new(skerry_images::Store::open(&config.state_dir)?);
    let (mut reconciler, snapshots) = Reconciler::new(
        containers.clone(),
        images,
        public.clone(),
        store.clone(),
        troubles.clone(),
        audit.clone(),
    )
    .context("cannot watch the agents' folders")?;
    let notify = Arc::new(Notify::from_environment());
    let door = reconciler.door();
    let mark = Mark::below(&config.run_dir);
    if mark.is_set() {
        tracing::info!("everything stays stopped until: skerry up");
        reconciler.stay_down();
    }
    let ending = Arc::new(tokio::sync::Notify::new());
    tokio::spawn(ledger.run(requests));
    tokio::spawn(reconciler.run());
    tokio::spawn(quiet::run(snapshots.clone()));
    tokio::spawn(disk.clone().heal());
    tokio::spawn(troubles::follow(snapshots.clone(), troubles.clone()));

    let (link_in, link_seen) = watch::channel(None);
    let node = Arc::new(http::Node {
        desk: desk.clone(),
        snapshots: snapshots.clone(),
        ledger: public.clone(),
        containers: containers.clone(),
        identity: identity.clone(),
        name: name.to_string(),
        link: link_seen,
        cgroup: cgroup.clone(),
        store_notice: notice,
        troubles: troubles.clone(),
        disk,
        audit: audit.clone(),
        door: door.clone(),
        supervised: down::is_supervised(),
        mark,
        ending: ending.clone(),
    });
    let socket = config.socket();
    let listener = http::listen(&socket)?;
    tokio::spawn(http::serve(listener, node));
    tracing::info!(node = %name, socket = %socket.display(), "ready");
    notify.ready();
    tokio::spawn({
        let (notify, desk) = (notify.clone(), desk.clone());
        async move { notify.watchdog(desk, door).await }
    });

    let mut speaker = speaker(identity.clone(), name.clone(), cgroup)?;
    speaker.enrolment = enrolment(&config, &speaker);
    let hands = Hands {
        desk: desk.clone(),
        containers: containers.clone(),
        levels,
        notify: notify.clone(),
        troubles: troubles.clone(),
    };
    let reload = Reload::new(origin, &config, hands);
    let seen = reporter::Seen { snapshots, ledger: public.clone(), troubles, audit };
    let farewell = connect(&config, store, desk.clone(), speaker, seen, &link_in)?;
    let link = farewell.as_ref().map(|(link, _)| link.clone());
    tokio::spawn(timekeeper::run(desk, link, identity, public));
    until_told(&ending, &reload).await?;
    notify.stopping();
    tracing::info!("ending; agents go on");
    if let Some((link, word)) = farewell {
        link.close(Some(word)).await;
    }
    let _ = std::fs::remove_file(&socket);
    containers.leave(&kernel);
    Ok(())
}

type Farewell = (skerry_sync::Link, bytes::Bytes);

/// Sets up the link to the fleet, if there is a broker.
fn connect(
    config: &Config,
    store: Arc<dyn Store>,
    desk: Desk,
    speaker: Speaker,
    seen: reporter::Seen,
    link_in: &watch::Sender<Option<skerry_sync::Link>>,
) -> anyhow::Result<Option<Farewell>> {
    let Some(broker) = &config.broker else { return Ok(None) };
    let word = |online| {
        let node = speaker.node.clone();
        let boot_id = speaker.boot_id.clone();
        link::presence(&speaker.identity, &Presence { node, online, boot_id })
    };
    let (here, gone) = (word(true), word(false));
    let birth = here.clone();
    let outbox = StoredOutbox(store.clone());
    let session = skerry_sync::start(broker, outbox, gone.clone(), move || birth.clone())?;
    link_in.send_replace(Some(session.link.clone()));
    link::catch_up(&session.link);
    tokio::spawn(session.task);
    tokio::spawn(link::serve(session.inbound, session.link.clone(), desk, seen.troubles.clone()));
    let counter = Counter::new(store);
    let link = session.link.clone();
    tokio::spawn(reporter::run(speaker, counter, link, seen));
    Ok(Some((session.link, gone)))
}

fn speaker(
    identity: Arc<Identity>,
    node: skerry_core::ids::NodeName,
    cgroup: String,
) -> anyhow::Result<Speaker> {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .context("cannot read the boot id")?
        .trim()
        .to_owned();
    let uname = rustix::system::uname();
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let host = Host {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        arch: uname.machine().to_string_lossy().into_owned(),
        kernel: uname.release().to_string_lossy().into_owned(),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes: system.total_memory(),
        cgroup,
    };
    Ok(Speaker { identity, node, boot_id, host, enrolment: None })
}

/// The word of the token that was installed. One that is none is told, and the node waits to be approved.
fn enrolment(config: &Config, speaker: &Speaker) -> Option<Enrolment> {
    let text = config.enrol.token.as_deref()?;
    match Token::parse(text) {
        Ok(token) => Some(token.vouch(&speaker.node, &speaker.identity.public())),
        Err(error) => {
            tracing::error!(%error, "enrol.token cannot be used");
            None
        }
    }
}

/// The roots that were installed. A file that holds none is told to whoever sends a document; agents that
/// are known run all the same.
fn belief(config: &Config) -> anyhow::Result<Belief> {
    let Some(path) = config.trust.root.as_deref() else {
        return Ok(Belief { roots: None, unproven: config.trust.unproven });
    };
    let roots = Roots::parse(&read_root(path)?).map_err(|why| format!("{} {why}", path.display()));
    if let Err(why) = &roots {
        tracing::error!(why, "no document will be taken");
    }
    Ok(Belief { roots: Some(roots), unproven: config.trust.unproven })
}

fn read_root(path: &Path) -> anyhow::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(ROOTS_MAX as u64).read_to_string(&mut text))
        .with_context(|| format!("cannot read the trust root {}", path.display()))?;
    Ok(text)
}

async fn until_told(ending: &tokio::sync::Notify, reload: &Reload) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            () = ending.notified() => return Ok(()),
            _ = hangup.recv() => reload.again().await,
        }
    }
}
