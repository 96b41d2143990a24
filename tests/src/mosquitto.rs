//! A real Mosquitto for one test: own port, own files, and every way in which a broker goes away.
//!
//! It stands for "any broker". Like a real one it writes what it keeps when it is stopped, so that a
//! crash loses what came since, acknowledged or not, unless a test called [`Mosquitto::save`] before.
//! The tests' own messages go through mosquitto_pub and mosquitto_sub.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::certificates::{Authority, Identity};
use crate::process::{Background, need_tool, run, run_with_input};
use crate::scratch::Scratch;
use crate::until::until;

/// How long the broker may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Who may connect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Anybody, in the clear.
    #[default]
    Open,
    /// One user with a password, in the clear.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// Clients with a certificate of the test's authority, over TLS.
    ClientCertificate,
}

/// A running Mosquitto. It ends with this value.
#[derive(Debug)]
pub struct Mosquitto {
    process: Background,
    port: u16,
    access: Access,
    authority: Option<Authority>,
    client: Option<Identity>,
    config: PathBuf,
    log: PathBuf,
    _scratch: Scratch,
}

impl Mosquitto {
    /// Starts a broker that lets anybody in.
    ///
    /// # Panics
    /// When Mosquitto is missing or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Access::Open)
    }

    /// Starts a broker with a rule of access.
    ///
    /// # Panics
    /// When Mosquitto is missing or does not start.
    #[must_use]
    pub fn start_with(access: Access) -> Self {
        need_tool("mosquitto", "mosquitto");
        need_tool("mosquitto_pub", "mosquitto-clients");
        let scratch = Scratch::new();
        let folder = scratch.folder("broker");
        let authority = (access == Access::ClientCertificate).then(|| Authority::new(&folder));
        let client = authority.as_ref().map(|authority| authority.client("tests"));
        let port = free_port();
        let text = config_text(port, &folder, &access, authority.as_ref());
        let config = scratch.file("broker/mosquitto.conf", text);
        let log = folder.join("mosquitto.log");
        let process = launch(&config, &log, port);
        Self { process, port, access, authority, client, config, log, _scratch: scratch }
    }

    /// The port on 127.0.0.1. It stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address for a node's or the fleet tool's configuration.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "mqtts" } else { "mqtt" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Who may connect.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The authority behind a broker with [`Access::ClientCertificate`].
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// What it has logged: each connection, packet and refusal.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The file that it logs to: each packet in and out, in order.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Has it write what it keeps (retained messages, sessions), and returns when that is done.
    ///
    /// # Panics
    /// When it does not.
    pub fn save(&mut self) {
        let saves = |log: String| log.matches("Saving in-memory database").count();
        let before = saves(self.whole_log());
        self.process.signal(Signal::USR1);
        until("mosquitto saves what it keeps", Duration::from_secs(5), || {
            (saves(self.whole_log()) > before).then_some(())
        });
        // It serves and saves on one thread: once it answers again, it has saved.
        let _ = run(self.client("mosquitto_sub").args(["-E", "-t", "tests/none"])).ok();
    }

    /// Crashes it. What it was not asked to [`Mosquitto::save`] may be lost.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Ends it in an orderly way.
    ///
    /// # Panics
    /// When it has not ended in ten seconds.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.stop(Duration::from_secs(10))
    }

    /// Starts it again on the same port with what it kept. Crashes it first when it still runs.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill9();
        self.process = launch(&self.config, &self.log, self.port);
    }

    /// Stops answering without closing a connection, as a cable pulled out of a switch does.
    ///
    /// # Panics
    /// When it can't be signalled.
    pub fn pause(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Answers again after [`Mosquitto::pause`].
    ///
    /// # Panics
    /// When it can't be signalled.
    pub fn resume(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Publishes a retained message, at QoS 1. An empty one removes what is retained.
    ///
    /// # Panics
    /// When the broker refuses it.
    pub fn retain(&self, topic: &str, payload: &[u8]) {
        let mut command = self.client("mosquitto_pub");
        command.args(["-q", "1", "-t", topic, "-r"]);
        command.arg(if payload.is_empty() { "-n" } else { "-s" });
        let _ = run_with_input(&mut command, payload).ok();
    }

    /// Publishes a message that is not retained, at QoS 1.
    ///
    /// # Panics
    /// When the broker refuses it.
    pub fn publish(&self, topic: &str, payload: &[u8]) {
        let mut command = self.client("mosquitto_pub");
        command.args(["-q", "1", "-t", topic]);
        command.arg(if payload.is_empty() { "-n" } else { "-s" });
        let _ = run_with_input(&mut command, payload).ok();
    }

    /// The retained message of a topic, if there is one.
    ///
    /// # Panics
    /// When the broker refuses the subscription.
    #[must_use]
    pub fn retained(&self, topic: &str) -> Option<String> {
        let mut command = self.client("mosquitto_sub");
        command.args(["-q", "1", "-t", topic, "-C", "1", "-N", "-W", "1", "--retained-only"]);
        let output = run(&mut command);
        // mosquitto_sub's code for "no message in the time given".
        const NONE_CAME: i32 = 27;
        (output.status.code() != Some(NONE_CAME)).then(|| output.ok().stdout)
    }

    /// Listens in the background to a topic filter; the log holds one `TOPIC PAYLOAD` a line.
    ///
    /// # Panics
    /// When mosquitto_sub can't be started.
    #[must_use]
    pub fn listen(&self, filter: &str, log: &Path) -> Background {
        let mut command = self.client("mosquitto_sub");
        command.args(["-q", "1", "-v", "-t", filter]);
        Background::start("mosquitto_sub", &mut command, log)
    }

    fn whole_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A Mosquitto client that may connect.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-V", "5", "-p", &self.port.to_string()]);
        if let Access::Password { user, password } = &self.access {
            command.args(["-u", user, "-P", password]);
        }
        if let (Some(authority), Some(client)) = (&self.authority, &self.client) {
            command.arg("--cafile").arg(authority.certificate());
            command.arg("--cert").arg(&client.certificate).arg("--key").arg(&client.key);
        }
        command
    }
}

/// A port on 127.0.0.1 that nobody listens on now.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the address of a listener").port()
}

fn launch(config: &Path, log: &Path, port: u16) -> Background {
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(config);
    let mut process = Background::start("mosquitto", &mut command, log);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let start = Instant::now();
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        let gone = process.ended();
        let late = start.elapsed() > START_LIMIT;
        assert!(gone.is_none() && !late, "mosquitto did not start ({gone:?})\n{}", process.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

fn config_text(port: u16, folder: &Path, access: &Access, authority: Option<&Authority>) -> String {
    let place = folder.display();
    // As root it would change to another user, which can't write the folder.
    let mut text = format!(
        "user root\nlistener {port} 127.0.0.1\npersistence true\npersistence_location {place}/\n\
         autosave_interval 0\nlog_dest stderr\nlog_type all\n\
         allow_anonymous {}\n",
        *access == Access::Open
    );
    if let Access::Password { user, password } = access {
        let file = folder.join("passwords");
        let mut command = Command::new("mosquitto_passwd");
        let _ = run(command.args(["-b", "-c"]).arg(&file).args([user, password])).ok();
        text.push_str(&format!("password_file {}\n", file.display()));
    }
    if let Some(authority) = authority {
        let Identity { certificate, key } = authority.broker();
        text.push_str(&format!(
            "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true\n",
            authority.certificate().display(),
            certificate.display(),
            key.display(),
        ));
    }
    text
}

#[cfg(test)]
mod tests;
