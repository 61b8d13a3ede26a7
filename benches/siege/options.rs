//! The command line of the siege. Reads nothing but its arguments.

use std::{fs, path::PathBuf, time::Duration};

use super::attacks::Attack;

/// The binary that cargo built for this benchmark.
const GATEWAY: &str = env!("CARGO_BIN_EXE_liveness-gateway");
/// The name of the soak, beside those of the attacks.
pub(crate) const SOAK: &str = "soak";
/// The name of the changes under load.
pub(crate) const CHANGES: &str = "changes";

pub(crate) const HELP: &str = "\
cargo bench --bench siege -- [OPTION]… [ATTACK]… [soak] [changes]

Without a name, every attack is run, and nothing else.

  --list             the attacks by name
  --minutes M        length of the soak under attack (10)
  --seconds S        length of a phase with or without an attack (10)
  --rounds N         pairs of phases of each attack, and times of each change (3)
  --scale X          share of the connections of each attack (1)
  --rate R           small requests a second, instead of half of the measured capacity
  --gateway PATH     another liveness-gateway
  --other PATH       the binary that takes over in `changes`, instead of the same one
  --shared-cores     don't give the gateway a core of its own
";

/// What to run.
pub(crate) struct Options {
    pub(crate) list: bool,
    pub(crate) help: bool,
    pub(crate) attacks: Vec<&'static Attack>,
    pub(crate) soak: bool,
    pub(crate) changes: bool,
    pub(crate) soak_time: Duration,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    pub(crate) scale: f64,
    pub(crate) rate: Option<f64>,
    pub(crate) gateway: PathBuf,
    pub(crate) other: Option<PathBuf>,
    pub(crate) shared_cores: bool,
}

impl Options {
    /// # Errors
    /// A description of the wrong option.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            list: false,
            help: false,
            attacks: Vec::new(),
            soak: false,
            changes: false,
            soak_time: Duration::from_secs(600),
            time: Duration::from_secs(10),
            rounds: 3,
            scale: 1.0,
            rate: None,
            gateway: PathBuf::from(GATEWAY),
            other: None,
            shared_cores: false,
        };
        while let Some(word) = words.next() {
            let mut number = || above_zero(&word, words.next());
            match word.as_str() {
                "--list" => options.list = true,
                "--help" => options.help = true,
                "--shared-cores" => options.shared_cores = true,
                "--minutes" => options.soak_time = Duration::from_secs_f64(number()? * 60.0),
                "--seconds" => options.time = Duration::from_secs_f64(number()?),
                "--rounds" => options.rounds = (number()? as usize).max(1),
                "--scale" => options.scale = number()?.min(1.0),
                "--rate" => options.rate = Some(number()?),
                "--gateway" => options.gateway = binary(words.next())?,
                "--other" => options.other = Some(binary(words.next())?),
                // Added by cargo.
                "--bench" => {}
                SOAK => options.soak = true,
                CHANGES => options.changes = true,
                name => options.attacks.push(attack(name)?),
            }
        }
        if options.attacks.is_empty() && !options.soak && !options.changes {
            options.attacks = Attack::all().collect();
        }
        Ok(options)
    }
}

fn binary(path: Option<String>) -> Result<PathBuf, String> {
    let path = path.unwrap_or_default();
    fs::canonicalize(&path).map_err(|error| format!("{path}: {error}"))
}

fn above_zero(word: &str, value: Option<String>) -> Result<f64, String> {
    let number = value.and_then(|value| value.parse::<f64>().ok());
    number
        .filter(|number| *number > 0.0 && number.is_finite())
        .ok_or_else(|| format!("{word} needs a number above 0"))
}

fn attack(name: &str) -> Result<&'static Attack, String> {
    Attack::named(name).ok_or_else(|| {
        let names: Vec<&str> = Attack::all().map(|attack| attack.name).collect();
        format!(
            "unknown: {name}; known: soak, changes, {}\n\n{HELP}",
            names.join(", ")
        )
    })
}
