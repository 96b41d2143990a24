//! What keeps a device busy until its power goes: a script for its shell, and when the cut comes.
//!
//! Decides from the dice alone, so that a seed gives the same round again (to the moment; what the
//! device makes of it depends on the machine). Every change is told before it is asked for (`try`) and
//! after it was acknowledged (`ack`): see [`super::promises`].

use std::time::Duration;

use crate::dice::Dice;

/// How many images come and go, and how many local agents change.
pub const IMAGES: u64 = 3;
/// Local agents that change all the time. Their image is not there: they are about what is kept.
pub const WISHES: u64 = 5;
const ABSENT: &str = "sha256:00000000000000000000000000000000000000000000000000000000000000aa";

/// Kills the node. The file is there where the device boots from an initramfs, and saves the seconds that
/// an emulated device on a busy host takes to ask.
const KILL: &str = r#"
kill -9 $(cat /run/node.pid 2>/dev/null ||
    skerry status --format json | sed -n 's/^.*"pid": \([0-9]*\).*/\1/p') && echo killed"#;

/// One round, before it happens.
#[derive(Debug, Clone)]
pub struct Round {
    /// A first cut so long after the switch was turned on, in the middle of the boot.
    pub boot_cut: Option<Duration>,
    /// How long the device works until the cut.
    pub work: Duration,
    /// The pauses between two documents.
    pub document_pauses: Vec<Duration>,
    /// The script.
    pub script: String,
}

impl Round {
    /// The round of that number.
    #[must_use]
    pub fn new(seed: u64, machine: u64, number: u64, digests: &[String]) -> Self {
        let mut dice = Dice::new(seed, machine << 32 | number);
        let boot_cut = dice.percent(15).then(|| millis(dice.between(200, 5000)));
        let work = millis(dice.between(50, 6000));
        let document_pauses = (0..32).map(|_| millis(dice.between(20, 700))).collect();
        let script = script(&mut dice, number, digests);
        Self { boot_cut, work, document_pauses, script }
    }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Pauses for a loop of the shell.
fn pauses(dice: &mut Dice, least: u64, most: u64) -> String {
    let one = |_| format!("{:.3}", millis(dice.between(least, most)).as_secs_f64());
    (0..16).map(one).collect::<Vec<_>>().join(" ")
}

fn script(dice: &mut Dice, number: u64, digests: &[String]) -> String {
    let mut script = String::new();
    // The parts of the work overlap as they like; not every round has all of them.
    if dice.percent(80) {
        script.push_str(&wishes(dice, number));
    }
    if dice.percent(80) {
        script.push_str(&images(dice, digests));
    }
    if dice.percent(60) {
        let pauses = pauses(dice, 100, 1500);
        script.push_str(&forever(&pauses, "skerry restart pet >/dev/null 2>&1 && echo restarted"));
    }
    if dice.percent(50) {
        let pauses = pauses(dice, 200, 2500);
        script.push_str(&forever(&pauses, KILL));
    }
    if dice.percent(20) {
        // Else the last seconds' work is seldom written back when the power goes.
        let pauses = pauses(dice, 300, 1500);
        script.push_str(&forever(&pauses, "sync"));
    }
    script.push_str("wait\n");
    script
}

fn forever(pauses: &str, command: &str) -> String {
    format!("while :; do for pause in {pauses}; do sleep $pause; {command}; done; done &\n")
}

fn wishes(dice: &mut Dice, number: u64) -> String {
    let pauses = pauses(dice, 1, 120);
    let first = number * 10_000;
    let change = format!(
        "n=$((n + 1)); name=wish$((n % {WISHES}))
if [ $((n % 7)) = 0 ]; then
    echo \"try wish/$name gone\"; skerry rm -f $name >/dev/null 2>&1 && echo \"ack wish/$name gone\"
else
    echo \"try wish/$name $n\"
    echo \"{{name: $name, image: '{ABSENT}', env: {{VALUE: '$n'}}}}\" |
        skerry apply -f - >/dev/null 2>&1 && echo \"ack wish/$name $n\"
fi"
    );
    format!("n={first}\n{}", forever(&pauses, &change))
}

fn images(dice: &mut Dice, digests: &[String]) -> String {
    let pauses = pauses(dice, 1, 300);
    let mut turn = String::new();
    let first = dice.below(IMAGES) as usize;
    for (number, digest) in digests.iter().enumerate().cycle().skip(first).take(digests.len()) {
        turn.push_str(&format!(
            "echo 'try image/img{number} {digest}'
skerry image import -q --name img{number} /run/kit/img{number}.tar >/dev/null 2>&1 &&
    echo 'ack image/img{number} {digest}'
sleep $pause
echo 'try image/img{number} gone'
skerry image rm -f img{number} >/dev/null 2>&1 && echo 'ack image/img{number} gone'
"
        ));
    }
    forever(&pauses, turn.trim_end())
}
