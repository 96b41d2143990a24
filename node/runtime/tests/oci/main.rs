//! The command line of runc on real containers. Needs root and busybox-static.

#[path = "hooks.rs"]
mod oci_hooks;
#[path = "life.rs"]
mod oci_life;
#[path = "limits.rs"]
mod oci_limits;
#[path = "refusals.rs"]
mod oci_refusals;
#[path = "rights.rs"]
mod oci_rights;
mod rig;
