//! The bench that end-to-end tests stand on: a real broker, real nodes, places that clean themselves.
//!
//! It starts, kills and looks at programs under test as a person at a shell would. It must never
//! reach into their code, and never skip: a missing program or tool ends the test with the command
//! that provides it. A set-up that fails ends the test as well, hence the lints switched off here.
//! Start reading at [`Node`]; `tests/run` builds the programs and names them in the environment.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose set-up fails has failed, and must say so at once"
)]

pub mod agents;
pub mod certificates;
pub mod dice;
pub mod disk;
pub mod fleet;
pub mod machine;
pub mod measure;
pub mod mosquitto;
pub mod node;
pub mod powercut;
pub mod process;
pub mod scratch;
pub mod signer;
pub mod site;
pub mod until;

pub use disk::Disk;
pub use fleet::Fleet;
pub use machine::Machine;
pub use mosquitto::{Access, Mosquitto};
pub use node::{Node, NodeSetup};
pub use process::{Background, Output};
pub use scratch::Scratch;
pub use signer::Signer;
pub use site::Site;
pub use until::{until, until_or_dump};
