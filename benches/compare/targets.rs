//! A target of the gateway, and whether a value reaches it. Pure.

/// One row of the table of targets.
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) value: Option<f64>,
    pub(crate) goal: f64,
    pub(crate) least: f64,
}

impl Target {
    pub(crate) fn new(what: &'static str, value: Option<f64>, goal: f64, least: f64) -> Self {
        Self {
            what,
            value,
            goal,
            least,
        }
    }

    /// Whether the value reaches the goal or the minimum. A higher value is better if the goal is
    /// above the minimum.
    pub(crate) fn verdict(&self) -> &'static str {
        let Some(value) = self.value else {
            return "not measured";
        };
        // Rounded as it is printed.
        let value = (value * 100.0).round() / 100.0;
        let reaches = |mark: f64| {
            if self.goal > self.least {
                value >= mark
            } else {
                value <= mark
            }
        };
        if reaches(self.goal) {
            "goal"
        } else if reaches(self.least) {
            "at least"
        } else {
            "missed"
        }
    }
}
