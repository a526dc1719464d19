//! Where a value lies on an axis, and which values are written beside it.

/// An axis from 0 (its start) to 1 (its end).
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    label: String,
    scale: Scale,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    /// From this value to 1, evenly.
    Linear { from: f64 },
    /// From 10^-decades to 1, each decade as long as the next.
    Log { decades: i32 },
}

/// Decades that an axis can show.
const MOST_DECADES: i32 = 9;

/// Where a linear axis may begin.
const FLOORS: [f64; 7] = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99];

impl Axis {
    /// From the highest round value that is not above `least`, to 1.
    pub fn linear(label: &str, least: f64) -> Self {
        let from = FLOORS.into_iter().rev().find(|floor| *floor <= least).unwrap_or(0.0);
        Self { label: label.to_owned(), scale: Scale::Linear { from } }
    }

    /// From the power of ten that is not above `1 / trials`, to 1.
    pub fn log(label: &str, trials: u64) -> Self {
        let decades = (trials.max(1) as f64).log10().ceil() as i32;
        Self { label: label.to_owned(), scale: Scale::Log { decades: decades.clamp(1, MOST_DECADES) } }
    }

    /// What it shows.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Where a value lies, 0 to 1; what lies outside is put to the end.
    pub fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear { from } => (value - from) / (1.0 - from),
            Scale::Log { .. } if value <= 0.0 => 0.0,
            Scale::Log { decades } => 1.0 + value.log10() / f64::from(decades),
        };
        place.clamp(0.0, 1.0)
    }

    /// Values with what is written beside them.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear { from } => {
                let step = (1.0 - from) / 5.0;
                let decimals = if step < 0.01 { 3 } else { 2 };
                (0..=5).map(|n| from + step * f64::from(n)).map(|v| (v, format!("{v:.decimals$}"))).collect()
            }
            Scale::Log { decades } => (0..=decades)
                .rev()
                .map(|n| (10f64.powi(-n), if n == 0 { "1".to_owned() } else { format!("1e-{n}") }))
                .collect(),
        }
    }
}
