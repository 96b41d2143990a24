//! A real Mosquitto for one test, on a free port of the loopback, with its own configuration.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub struct Mosquitto {
    pub port: u16,
    pub folder: TempDir,
    child: Option<Child>,
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Mosquitto {
    /// Starts one with these lines in its configuration, besides the listener.
    pub fn start(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, lines)
    }

    pub fn open() -> Self {
        Self::start("allow_anonymous true\n")
    }

    pub fn start_in(folder: TempDir, lines: &str) -> Self {
        let port = free_port();
        let config = format!(
            "listener {port} 127.0.0.1\npersistence false\nlog_dest stderr\nuser root\n{lines}"
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let mut broker = Self { port, folder, child: None };
        broker.run();
        broker
    }

    fn run(&mut self) {
        let child = Command::new(program())
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("run mosquitto: {error}"));
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let child = self.child.as_mut().unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                let said =
                    BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
                panic!("mosquitto ended with {status}: {:?}", said.collect::<Vec<_>>());
            }
            assert!(Instant::now() < until, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        // Its log must not fill the pipe.
        let mut log = BufReader::new(self.child.as_mut().unwrap().stderr.take().unwrap());
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Runs again, on the same port, remembering nothing.
    pub fn restart(&mut self) {
        self.kill();
        self.run();
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> PathBuf {
    for path in ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"] {
        match std::fs::metadata(path) {
            Ok(_) => return path.into(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{path}: {error}"),
        }
    }
    panic!("these tests need Mosquitto: apt-get install -y mosquitto");
}
