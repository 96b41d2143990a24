//! OCI images on a device, without docker and without a registry.
//!
//! Keeps a content store, imports OCI layouts and `docker save` archives into it, unpacks layers for
//! overlayfs, and packs a folder into an image. It never starts a container, never opens a socket,
//! and never trusts a byte whose digest it has not computed. Start reading at [`store`], go on with
//! [`import`] and [`unpack`]; [`mod@pack`] stands alone.

pub mod archive;
pub mod decode;
pub mod import;
pub mod media;
pub mod pack;
pub mod platform;
pub mod reference;
pub mod store;
pub mod unpack;

mod durable;
mod hash;

pub use import::{ImportError, ImportOptions, Imported, Source};
pub use pack::{Output, PackError, PackOptions, Packed, pack};
pub use platform::Platform;
pub use reference::{ImageName, ReferenceError};
pub use store::{Freed, Image, ImageConfig, ImageRecord, Removed, Store, StoreError};
pub use unpack::Limits;
