//! The node process: wiring, and the order of a boot.
//!
//! State first, agents second, the local API third, and the network last: nothing local waits for
//! it. Every task below is one file: [`crate::ledger`], [`crate::reconciler`], [`crate::http`],
//! [`crate::link`], [`crate::reporter`].

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use skerry_core::bundle::Audience;
use skerry_core::ids::NodeName;
use skerry_core::report::{Host, Presence};
use skerry_core::trust::Roots;
use skerry_core::trust::enrolment::{Enrolment, Token};
use skerry_core::trust::repositories::ROOTS_MAX;
use skerry_runtime::Kernel;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::audit::Audit;
use crate::cli::NodeArgs;
use crate::config::{Config, Override};
use crate::containers::Containers;
use crate::down::{self, Mark};
use crate::http;
use crate::identity::Identity;
use crate::ledger::{Belief, Desk, Ledger, Public};
use crate::levels::Levels;
use crate::link;
use crate::notify::Notify;
use crate::outbox::StoredOutbox;
use crate::quiet;
use crate::reconciler::{Reconciler, Snapshot};
use crate::reload::{self, Hands, Origin, Reload};
use crate::reporter::{self, Counter, Speaker};
use crate::store::{HealingStore, Store};
use crate::timekeeper;
use crate::troubles::{self, Troubles};
use crate::wake::Event;

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
    let ground = Ground::lay(&config)?;
    let local = Local::begin(&config, &ground)?;
    let (link_in, link_seen) = watch::channel(None);
    let ending = local.listen(&config, &ground, link_seen)?;
    let notify = Arc::new(Notify::from_environment());
    notify.ready();
    local.feed_watchdog(&notify);
    let farewell = local.connect(&config, &ground, &link_in)?;
    let reload = local.reload(origin, &config, levels, &ground, &notify);
    let link = farewell.as_ref().map(|(link, _)| link.clone());
    local.keep_time(&ground, link);
    until_told(&ending, &reload).await?;
    notify.stopping();
    tracing::info!("ending; {}", what_stays(&local.snapshots.borrow()));
    if let Some((link, word)) = farewell {
        link.close(Some(word)).await;
    }
    let _ = std::fs::remove_file(config.socket());
    local.containers.leave(&ground.kernel);
    Ok(())
}

/// What everything stands on: who the node is, its state, and the kernel.
struct Ground {
    name: NodeName,
    identity: Arc<Identity>,
    audit: Audit,
    disk: Arc<HealingStore>,
    /// How the state came to be, if there is something to say.
    notice: Option<String>,
    troubles: Troubles,
    kernel: Kernel,
    /// The kind of its control groups.
    cgroup: String,
}

impl Ground {
    fn lay(config: &Config) -> anyhow::Result<Self> {
        let name = config.node_name()?;
        let troubles = Troubles::default();
        let descriptors = skerry_runtime::raise_descriptor_limit();
        tracing::debug!(descriptors, "open files that this process may have");
        let (disk, notice) = HealingStore::open(&config.state_dir.join("state"), troubles.clone())?;
        if let Some(notice) = &notice {
            tracing::error!(notice, "state");
        }
        let identity = Arc::new(Identity::load(&config.state_dir)?);
        let audit = Audit::open(&config.state_dir, identity.clone(), name.clone());
        let kernel = Kernel::probe().context("cannot look at the kernel's cgroups")?;
        let cgroup = format!("{:?}", kernel.version()).to_lowercase();
        Ok(Self { name, identity, audit, disk, notice, troubles, kernel, cgroup })
    }

    fn store(&self) -> Arc<dyn Store> {
        self.disk.clone()
    }
}

/// The tasks that need no network, and the ways to them.
struct Local {
    desk: Desk,
    ledger: watch::Receiver<Public>,
    snapshots: watch::Receiver<Snapshot>,
    containers: Arc<Containers>,
    door: mpsc::Sender<Event>,
    mark: Mark,
}

impl Local {
    /// Agents, before anything else is waited for.
    fn begin(config: &Config, ground: &Ground) -> anyhow::Result<Self> {
        let audience = Audience { node: ground.name.clone(), groups: config.groups.clone() };
        let belief = belief(config)?;
        let (wishes, profile) = (config.local.wishes, reload::profile(config));
        let (ledger, public) = Ledger::load(ground.store(), audience, belief, wishes, profile)?;
        let ledger = ledger.audited(ground.audit.clone());
        let (desk, requests) = Desk::new();
        let containers = Arc::new(Containers::new(config)?);
        let images = Arc::new(skerry_images::Store::open(&config.state_dir)?);
        let troubles = ground.troubles.clone();
        let (mut reconciler, snapshots) = Reconciler::new(
            containers.clone(),
            images,
            public.clone(),
            ground.store(),
            troubles.clone(),
            ground.audit.clone(),
        )
        .context("cannot watch the agents' folders")?;
        let (door, mark) = (reconciler.door(), Mark::below(&config.run_dir));
        if mark.is_set() {
            tracing::info!("everything stays stopped until: skerry up");
            reconciler.stay_down();
        }
        tokio::spawn(ledger.run(requests));
        tokio::spawn(reconciler.run());
        tokio::spawn(quiet::run(snapshots.clone()));
        tokio::spawn(ground.disk.clone().heal());
        tokio::spawn(troubles::follow(snapshots.clone(), troubles));
        Ok(Self { desk, ledger: public, snapshots, containers, door, mark })
    }

    /// The local API. Returns what is told when somebody asks there for the node's end.
    fn listen(
        &self,
        config: &Config,
        ground: &Ground,
        link: watch::Receiver<Option<skerry_sync::Link>>,
    ) -> anyhow::Result<Arc<tokio::sync::Notify>> {
        let ending = Arc::new(tokio::sync::Notify::new());
        let node = Arc::new(http::Node {
            desk: self.desk.clone(),
            snapshots: self.snapshots.clone(),
            ledger: self.ledger.clone(),
            containers: self.containers.clone(),
            identity: ground.identity.clone(),
            name: ground.name.to_string(),
            link,
            cgroup: ground.cgroup.clone(),
            store_notice: ground.notice.clone(),
            troubles: ground.troubles.clone(),
            disk: ground.disk.clone(),
            audit: ground.audit.clone(),
            door: self.door.clone(),
            supervised: down::is_supervised(),
            mark: self.mark.clone(),
            ending: ending.clone(),
        });
        let socket = config.socket();
        tokio::spawn(http::serve(http::listen(&socket)?, node));
        tracing::info!(node = %ground.name, socket = %socket.display(), "ready");
        Ok(ending)
    }

    fn feed_watchdog(&self, notify: &Arc<Notify>) {
        let (notify, desk, door) = (notify.clone(), self.desk.clone(), self.door.clone());
        tokio::spawn(async move { notify.watchdog(desk, door).await });
    }

    /// The way to the fleet, last of all, and what reports to it; nothing without a broker.
    fn connect(
        &self,
        config: &Config,
        ground: &Ground,
        link_in: &watch::Sender<Option<skerry_sync::Link>>,
    ) -> anyhow::Result<Option<Farewell>> {
        let seen = reporter::Seen {
            snapshots: self.snapshots.clone(),
            ledger: self.ledger.clone(),
            troubles: ground.troubles.clone(),
            audit: ground.audit.clone(),
        };
        let speaker = speaker(config, ground)?;
        connect(config, ground.store(), self.desk.clone(), speaker, seen, link_in)
    }

    /// Asks the fleet for the time, where there is one and the clock cannot be believed.
    fn keep_time(&self, ground: &Ground, link: Option<skerry_sync::Link>) {
        let (desk, identity) = (self.desk.clone(), ground.identity.clone());
        tokio::spawn(timekeeper::run(desk, link, identity, self.ledger.clone()));
    }

    fn reload(
        &self,
        origin: Origin,
        config: &Config,
        levels: Levels,
        ground: &Ground,
        notify: &Arc<Notify>,
    ) -> Reload {
        let hands = Hands {
            desk: self.desk.clone(),
            containers: self.containers.clone(),
            levels,
            notify: notify.clone(),
            troubles: ground.troubles.clone(),
        };
        Reload::new(origin, config, hands)
    }
}

/// What becomes of agents when this process ends.
fn what_stays(last: &Snapshot) -> &'static str {
    let lives = last.found.values().any(|found| found.seen.phase.is_live());
    if last.down && !lives { "everything is stopped" } else { "agents go on" }
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

fn speaker(config: &Config, ground: &Ground) -> anyhow::Result<Speaker> {
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
        cgroup: ground.cgroup.clone(),
    };
    let enrolment = enrolment(config, ground);
    let (identity, node) = (ground.identity.clone(), ground.name.clone());
    Ok(Speaker { identity, node, boot_id, host, enrolment })
}

/// The word of the token that was installed. One that is none is told, and the node waits to be approved.
fn enrolment(config: &Config, ground: &Ground) -> Option<Enrolment> {
    let text = config.enrol.token.as_deref()?;
    match Token::parse(text) {
        Ok(token) => Some(token.vouch(&ground.name, &ground.identity.public())),
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
