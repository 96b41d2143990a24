//! Topic names: decides how `skerry/v1/…` is built and read.
//!
//! Pure and total: whatever a broker sends either becomes one typed [`Topic`] or a [`TopicError`].
//! Never touches the network. Next: [`crate::session`], which subscribes to [`node_filters`].
//!
//! ```text
//! skerry/v1/{tenant}/{node}/desired | command/{id} | blob/{part}… | time                 down
//! skerry/v1/{tenant}/{node}/report | status | event | telemetry/{agent}/{channel} |
//!                           log/{agent} | reply/{id} | clock                             up
//! skerry/v1/{tenant}/group/{group}/desired                                               down
//! ```
//! The word `group` stands where a node's name would, so no node can be called that.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name between two slashes.
pub const NAME_MAX: usize = 128;
/// The most parts of a blob's path.
pub const BLOB_PARTS_MAX: usize = 8;

const ROOT: &str = "skerry";
const GENERATION: &str = "v1";
const GROUP: &str = "group";

/// Why a text is no topic, or no part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// A part is empty or too long.
    #[error("'{name}' has {len} characters; 1 to {NAME_MAX} are allowed")]
    Length {
        /// The part, cut to 80 characters.
        name: String,
        /// Its length in bytes.
        len: usize,
    },
    /// A part holds a character that is not allowed.
    #[error("'{name}' may hold only letters, digits, '.', '_' and '-'")]
    Characters {
        /// The part, cut to 80 characters.
        name: String,
    },
    /// A node is called `group`.
    #[error("no node can be named 'group': that word marks the topics of groups")]
    NodeNamedGroup,
    /// A blob's path has no part or too many.
    #[error("the path of a blob has {count} parts; 1 to {BLOB_PARTS_MAX} are allowed")]
    BlobParts {
        /// How many it has.
        count: usize,
    },
    /// None of the topics of this version of Skerry.
    #[error("'{topic}' is none of Skerry's topics")]
    Unknown {
        /// The topic, cut to 200 characters.
        topic: String,
    },
}

/// One part of a topic: 1 to 128 letters, digits, '.', '_' or '-'.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let name = || text.chars().take(80).collect();
        if text.is_empty() || text.len() > NAME_MAX {
            return Err(TopicError::Length { name: name(), len: text.len() });
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return Err(TopicError::Characters { name: name() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Name {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom a topic belongs to: one node of one tenant. Never a node called `group`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    tenant: Name,
    node: Name,
}

impl Address {
    /// The address of a node.
    ///
    /// # Errors
    /// When the node is called `group`.
    pub fn new(tenant: Name, node: Name) -> Result<Self, TopicError> {
        if node.as_str() == GROUP {
            return Err(TopicError::NodeNamedGroup);
        }
        Ok(Self { tenant, node })
    }

    /// The tenant.
    pub fn tenant(&self) -> &Name {
        &self.tenant
    }

    /// The node.
    pub fn node(&self) -> &Name {
        &self.node
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.node)
    }
}

/// The path of a blob: 1 to 8 names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobPath(Vec<Name>);

impl BlobPath {
    /// A path of these parts.
    ///
    /// # Errors
    /// When there is none, or more than [`BLOB_PARTS_MAX`].
    pub fn new(parts: Vec<Name>) -> Result<Self, TopicError> {
        if parts.is_empty() || parts.len() > BLOB_PARTS_MAX {
            return Err(TopicError::BlobParts { count: parts.len() });
        }
        Ok(Self(parts))
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Name] {
        &self.0
    }
}

/// What comes down to a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Down {
    /// The document of this node (retained).
    Desired,
    /// The document of a group the node is in (retained).
    GroupDesired(Name),
    /// A command, answered under [`Up::Reply`] with the same id.
    Command(Name),
    /// A piece of content.
    Blob(BlobPath),
    /// The time, signed: the answer to [`Up::Clock`].
    Time,
}

/// What goes up from a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Up {
    /// What the node says of itself (retained).
    Report,
    /// Whether it is there (retained; also its last will).
    Status,
    /// Something that happened.
    Event,
    /// Measurements of an agent.
    Telemetry {
        /// The agent.
        agent: Name,
        /// Which of its channels.
        channel: Name,
    },
    /// Output of an agent.
    Log {
        /// The agent.
        agent: Name,
    },
    /// The answer to a command.
    Reply {
        /// The command's id.
        id: Name,
    },
    /// A question what time it is, answered under [`Down::Time`].
    Clock,
}

/// Any topic of Skerry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// From a node.
    Up(Address, Up),
    /// To a node. Never holds [`Down::GroupDesired`] when it was parsed.
    Down(Address, Down),
    /// To every node of a group.
    Group {
        /// The tenant.
        tenant: Name,
        /// The group.
        group: Name,
    },
}

impl Up {
    /// The topic of this message from that node.
    pub fn topic(&self, node: &Address) -> String {
        let base = base(&node.tenant, &node.node);
        match self {
            Self::Report => format!("{base}/report"),
            Self::Status => format!("{base}/status"),
            Self::Event => format!("{base}/event"),
            Self::Telemetry { agent, channel } => format!("{base}/telemetry/{agent}/{channel}"),
            Self::Log { agent } => format!("{base}/log/{agent}"),
            Self::Reply { id } => format!("{base}/reply/{id}"),
            Self::Clock => format!("{base}/clock"),
        }
    }
}

impl Down {
    /// The topic of this message to that node (for a group: to its tenant's group).
    pub fn topic(&self, node: &Address) -> String {
        let base = base(&node.tenant, &node.node);
        match self {
            Self::Desired => format!("{base}/desired"),
            Self::GroupDesired(group) => group_topic(&node.tenant, group),
            Self::Command(id) => format!("{base}/command/{id}"),
            Self::Blob(path) => {
                let parts: Vec<&str> = path.0.iter().map(Name::as_str).collect();
                format!("{base}/blob/{}", parts.join("/"))
            }
            Self::Time => format!("{base}/time"),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up(node, up) => f.write_str(&up.topic(node)),
            Self::Down(node, down) => f.write_str(&down.topic(node)),
            Self::Group { tenant, group } => f.write_str(&group_topic(tenant, group)),
        }
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let unknown = || TopicError::Unknown { topic: text.chars().take(200).collect() };
        // Root, generation, tenant, node, kind and at most the parts of a blob: bounded by splitn.
        let parts: Vec<&str> = text.splitn(6 + BLOB_PARTS_MAX, '/').collect();
        let (tenant, node, rest) = match parts.as_slice() {
            [ROOT, GENERATION, tenant, GROUP, group, "desired"] => {
                return Ok(Self::Group { tenant: tenant.parse()?, group: group.parse()? });
            }
            [ROOT, GENERATION, tenant, node, rest @ ..] => (tenant, node, rest),
            _ => return Err(unknown()),
        };
        let node = Address::new(tenant.parse()?, node.parse()?)?;
        let up = |up| Ok(Self::Up(node.clone(), up));
        let down = |down| Ok(Self::Down(node.clone(), down));
        match rest {
            ["desired"] => down(Down::Desired),
            ["command", id] => down(Down::Command(id.parse()?)),
            ["blob", path @ ..] => {
                let path = path.iter().map(|part| part.parse()).collect::<Result<_, _>>()?;
                down(Down::Blob(BlobPath::new(path)?))
            }
            ["time"] => down(Down::Time),
            ["clock"] => up(Up::Clock),
            ["report"] => up(Up::Report),
            ["status"] => up(Up::Status),
            ["event"] => up(Up::Event),
            ["telemetry", agent, channel] => {
                up(Up::Telemetry { agent: agent.parse()?, channel: channel.parse()? })
            }
            ["log", agent] => up(Up::Log { agent: agent.parse()? }),
            ["reply", id] => up(Up::Reply { id: id.parse()? }),
            _ => Err(unknown()),
        }
    }
}

/// The filters a node subscribes to: what comes down to it, and to its groups.
pub fn node_filters(node: &Address, groups: &[Name]) -> Vec<String> {
    let base = base(&node.tenant, &node.node);
    let own = ["desired", "command/+", "blob/#", "time"].map(|kind| format!("{base}/{kind}"));
    let groups = groups.iter().map(|group| group_topic(&node.tenant, group));
    own.into_iter().chain(groups).collect()
}

/// Which kind of message an operator listens to; a filter over all nodes of a tenant, or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpKind {
    /// [`Up::Report`].
    Report,
    /// [`Up::Status`].
    Status,
    /// [`Up::Event`].
    Event,
    /// [`Up::Telemetry`], of all agents.
    Telemetry,
    /// [`Up::Log`], of all agents.
    Log,
    /// [`Up::Reply`], to all commands.
    Reply,
    /// [`Up::Clock`].
    Clock,
}

impl UpKind {
    /// Every kind there is.
    pub const ALL: [Self; 7] = [
        Self::Report,
        Self::Status,
        Self::Event,
        Self::Telemetry,
        Self::Log,
        Self::Reply,
        Self::Clock,
    ];

    /// The filter for this kind from one node, or from every node of the tenant.
    pub fn filter(self, tenant: &Name, node: Option<&Name>) -> String {
        let node = node.map_or("+", Name::as_str);
        let kind = match self {
            Self::Report => "report",
            Self::Status => "status",
            Self::Event => "event",
            Self::Telemetry => "telemetry/+/+",
            Self::Log => "log/+",
            Self::Reply => "reply/+",
            Self::Clock => "clock",
        };
        format!("{ROOT}/{GENERATION}/{tenant}/{node}/{kind}")
    }
}

fn base(tenant: &Name, node: &Name) -> String {
    format!("{ROOT}/{GENERATION}/{tenant}/{node}")
}

fn group_topic(tenant: &Name, group: &Name) -> String {
    format!("{ROOT}/{GENERATION}/{tenant}/{GROUP}/{group}/desired")
}

#[cfg(test)]
mod tests;
