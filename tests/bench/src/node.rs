//! Figures of a node.

/// X
#[derive(Default)]
pub struct NodeFigures;
impl NodeFigures {
    /// X
    pub fn table(&self) -> String {
        String::new()
    }
    /// X
    pub fn node_pss(&self) -> f64 {
        0.0
    }
    /// X
    pub fn monitor_pss(&self) -> f64 {
        0.0
    }
    /// X
    pub fn wakeups(&self) -> f64 {
        0.0
    }
    /// X
    pub fn ready(&self) -> Option<f64> {
        None
    }
}
