//! One device with its broker and its fleet, round after round on the same disk.
//!
//! While it boots and is looked at, the broker stands still: else it would send again what the device
//! has lost, and nobody would see the loss.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use serde_json::Value;

use super::check::{Found, Layers};
use super::promises::Promises;
use super::work::{IMAGES, Round};
use super::{Run, Totals};
use crate::machine::{Arch, Disk, Machine, PATIENCE, kit};
use crate::process::Background;
use crate::site::{sensor, topic};
use crate::until::until;
use crate::{Fleet, Mosquitto, Scratch, Signer};

const BOX: &str = "box";
/// So often the file system is checked from outside.
const CHECK_EVERY: u64 = 10;
/// Waits until the node is connected, all agents run, and `two` is that of the document in force.
const AT_WORK: &str = r#"
until skerry status >/run/status && grep -q '^Link: *connected' /run/status; do sleep 0.1; done
for name in one two pet; do
    until skerry ps | grep -q "^$name .*running"; do sleep 0.1; done
done
until skerry status --format json >/run/status && skerry inspect two >/run/two &&
    note="$(sed -n 's/^.*"NOTE": "\(.*\)".*/\1/p' /run/two | sort -u)" &&
    version="$(sed -n 's/^.*"version": \([0-9]*\),.*/\1/p' /run/status)" &&
    [ "$note" = "$version" ]; do sleep 0.1; done
"#;

/// A device under test, and all around it.
#[derive(Debug)]
pub struct Station {
    machine: Machine,
    broker: Mosquitto,
    signer: Signer,
    listener: Background,
    reports: PathBuf,
    reports_read: u64,
    promises: Promises,
    layers: Layers,
    image: String,
    digests: Vec<String>,
    published: AtomicU64,
    reported: u64,
    seed: u64,
    number: u64,
    keep: PathBuf,
    _scratch: Scratch,
}

impl Station {
    /// A device that has booted once, runs its agents, and knows all images.
    ///
    /// # Panics
    /// When it can't be set up.
    #[must_use]
    pub fn new(run: &Run, number: u64) -> Self {
        let scratch = Scratch::new();
        let broker = Mosquitto::start();
        let fleet = Fleet::init(&scratch, "fleet", &broker);
        let mut setup = Machine::setup(&scratch, BOX)
            .boot(run.boot)
            .cache(run.cache.cache(run.seed, number))
            .connect(&broker)
            .root(&fleet.root())
            .set("local.wishes", true);
        for name in std::iter::once("sensor".to_owned()).chain((0..IMAGES).map(image)) {
            let file = kit::image(&scratch, Arch::X86_64, &name, &name);
            setup = setup.file(&format!("{name}.tar"), &file);
        }
        let machine = setup.start();
        let sensor = machine.import("sensor.tar");
        let _ = machine.cli(["run", "--name", "pet", "sensor"]).ok();
        let digests = (0..IMAGES).map(|n| machine.import(&format!("{}.tar", image(n)))).collect();
        let layers = Found::new(&machine).layers;
        let names: Vec<_> = (0..IMAGES).map(image).collect();
        let _ =
            machine.cli(["image", "rm"].into_iter().chain(names.iter().map(String::as_str))).ok();

        let reports = scratch.path().join("reports");
        let listener = broker.listen(&topic(BOX, "report"), &reports);
        let keep = run.keep.join(format!("{}-{number}", run.seed));
        fs::create_dir_all(&keep).unwrap_or_else(|error| panic!("{}: {error}", keep.display()));
        fleet.vouch(&[&sensor]);
        let mut station = Self {
            machine,
            signer: Signer::of(&fleet),
            broker,
            listener,
            reports,
            reports_read: 0,
            promises: Promises::default(),
            layers,
            image: sensor,
            digests,
            published: AtomicU64::new(0),
            reported: 0,
            seed: run.seed,
            number,
            keep,
            _scratch: scratch,
        };
        station.publish();
        until("the first document is reported", PATIENCE, || {
            station.hear_reports();
            (station.reported == 1).then_some(())
        });
        station
    }

    /// Works, is cut off, boots, and is looked at.
    ///
    /// # Panics
    /// When QEMU, broker or host fail: nothing that the device could help.
    pub fn round(&mut self, number: u64) -> Totals {
        let round = Round::new(self.seed, self.number, number, &self.digests);
        let mut totals = Totals { rounds: 1, cuts: 1, ..Totals::default() };
        let (documents, promises) = (self.reported, self.promises.acknowledged());
        let mut broken = Vec::new();
        if let Err(why) = self.work(&round, &mut totals) {
            broken.push(format!("the device was gone before its power was cut: {why}"));
        }
        self.broker.pause();
        let before = Disk::copy_of(self.machine.data().path(), &self.keep.join("before.disk"));
        if number % CHECK_EVERY == CHECK_EVERY - 1 {
            broken.extend(before.check().err());
        }
        if let Some(after) = round.boot_cut {
            self.machine.switch_on();
            std::thread::sleep(after);
            self.machine.cut_power();
            totals.cuts += 1;
        }
        let start = std::time::Instant::now();
        match self.machine.try_boot() {
            Err(why) => broken.push(why),
            Ok(()) => {
                totals.boot = start.elapsed();
                broken.extend(self.look(&mut totals));
            }
        }
        self.broker.resume();
        totals.documents = self.reported - documents;
        totals.acknowledged = self.promises.acknowledged() - promises;
        if !broken.is_empty() {
            totals.losses.push(self.lost(number, &round, &broken));
        }
        totals
    }

    /// Keeps the device busy from inside and from outside until its time comes.
    fn work(&mut self, round: &Round, totals: &mut Totals) -> Result<(), String> {
        let (stop, stopped) = mpsc::channel::<()>();
        let Self { machine, broker, signer, image, published, .. } = self;
        let lines = std::thread::scope(|scope| {
            let publishing = scope.spawn(move || {
                for pause in round.document_pauses.iter().cycle() {
                    if stopped.recv_timeout(*pause) != Err(mpsc::RecvTimeoutError::Timeout) {
                        return;
                    }
                    publish(broker, signer, image, published);
                }
            });
            let lines = machine.work_until_cut(&round.script, round.work);
            drop(stop);
            publishing.join().expect("publishing");
            lines
        });
        let lines = lines.map_err(|error| error.to_string())?;
        lines.iter().for_each(|line| self.promises.hear(line));
        let count = |word: &str| lines.iter().filter(|line| *line == word).count() as u64;
        (totals.kills, totals.restarts) = (count("killed"), count("restarted"));
        self.hear_reports();
        Ok(())
    }

    /// Looks at a device that has booted, lets the broker go on, and waits until all works again.
    fn look(&mut self, totals: &mut Totals) -> Vec<String> {
        let found = Found::new(&self.machine);
        self.broker.resume();
        let documents = (self.reported, self.published.load(Ordering::Relaxed));
        let mut broken = found.broken(&mut self.promises, documents, &self.layers);
        totals.repairs += u64::from(found.repair().is_some());
        if let Err(why) = self.machine.try_sh(AT_WORK, PATIENCE) {
            broken.push(format!("not all agents run as the document has them: {why}"));
        }
        broken
    }

    fn publish(&self) {
        publish(&self.broker, &self.signer, &self.image, &self.published);
    }

    /// The newest version that the host was told of.
    fn hear_reports(&mut self) {
        let Ok(mut file) = fs::File::open(&self.reports) else { return };
        let mut text = String::new();
        let read = file.seek(SeekFrom::Start(self.reports_read));
        let _ = read.and_then(|_| file.read_to_string(&mut text));
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.reports_read += whole as u64;
        for line in text[..whole].lines() {
            let envelope = line.split_once(' ').map_or("", |(_, payload)| payload);
            let envelope: Value = serde_json::from_str(envelope).unwrap_or_default();
            let report = envelope["payload"].as_str().unwrap_or_default();
            let report: Value = serde_json::from_str(report).unwrap_or_default();
            let version = report["document"]["version"].as_u64().unwrap_or(0);
            self.reported = self.reported.max(version);
        }
    }

    /// Keeps everything that helps to understand a loss, and tells it.
    fn lost(&mut self, number: u64, round: &Round, broken: &[String]) -> String {
        let log = self.machine.log();
        self.machine.cut_power();
        let _ = Disk::copy_of(self.machine.data().path(), &self.keep.join("after.disk"));
        let told = format!(
            "seed {}, machine {}, round {number}, cut after {:?}, in the boot after {:?}:\n  {}\n\
             disks as they were when the power went and after the next boot: {}",
            self.seed,
            self.number,
            round.work,
            round.boot_cut,
            broken.join("\n  "),
            self.keep.display(),
        );
        let text = format!("{told}\n{log}\n-- script\n{}", round.script);
        let _ = fs::write(self.keep.join("story.txt"), text);
        told
    }

    /// Leaves no disks behind, after a run that went well.
    pub fn forget(mut self) {
        self.listener.kill9();
        let _ = fs::remove_dir_all(&self.keep);
    }
}

fn image(number: u64) -> String {
    format!("img{number}")
}

fn publish(broker: &Mosquitto, signer: &Signer, image: &str, published: &AtomicU64) {
    let version = published.fetch_add(1, Ordering::Relaxed) + 1;
    let agents = [sensor("one", image, "same"), sensor("two", image, &version.to_string())];
    let bundle = signer.bundle(BOX, version, &agents).to_bytes().expect("a bundle");
    broker.retain(&topic(BOX, "desired"), &bundle);
}
