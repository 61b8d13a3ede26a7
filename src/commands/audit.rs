//! `audit`: checks the chain of audit files. It only reads.

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::audit::{
    CheckpointKeys, CheckpointKeysError, RecordHash,
    verify::{AuditDefect, AuditVerifier, ExpectedHead, IncompleteAudit},
};

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    action: AuditAction,
}

#[derive(Debug, clap::Subcommand)]
#[command(disable_help_subcommand = true)]
enum AuditAction {
    /// Check that no record is missing, changed, repeated, moved or cut off
    ///
    /// Exits with 0 and a summary of each chain if all is whole, and with 1 and the line of the
    /// first defect if not. What the last record is, no file can prove: compare with --head.
    Verify(VerifyArgs),
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// The files of the log, oldest first; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Also verify the signatures of checkpoints, with a copy of /.well-known/jwks.json
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Require this record, as RECORD:HASH, from the gateway's log or an earlier summary
    #[arg(long, value_name = "HEAD", value_parser = expected_head)]
    head: Option<ExpectedHead>,
    /// Accept that the first records are missing, because older files were deleted
    #[arg(long)]
    continued: bool,
}

/// Why files are not accepted.
#[derive(Debug, thiserror::Error)]
enum AuditVerifyError {
    #[error("{}: it can't be read", .0.display())]
    Open(PathBuf, #[source] io::Error),
    #[error("{}: it can't be used as keys", .0.display())]
    Keys(PathBuf, #[source] CheckpointKeysError),
    #[error("{}:{line}: {defect}", .file.display())]
    Defect {
        file: PathBuf,
        line: u64,
        defect: AuditDefect,
    },
    #[error("{files}")]
    Incomplete {
        files: String,
        #[source]
        error: IncompleteAudit,
    },
}

/// Why a text is no head.
#[derive(Debug, thiserror::Error)]
#[error("write RECORD:HASH, a number and 64 hexadecimal digits")]
struct HeadError;

impl AuditArgs {
    /// Runs the action.
    pub fn run(&self) -> ExitCode {
        let AuditAction::Verify(args) = &self.action;
        match args.verify() {
            Ok(summary) => super::print(&summary),
            Err(error) => super::fail(&error),
        }
    }
}

impl VerifyArgs {
    fn verify(&self) -> Result<String, AuditVerifyError> {
        let keys = self.keys.as_deref().map(read_keys).transpose()?;
        let mut verifier = AuditVerifier::default()
            .with_keys(keys)
            .expecting(self.head)
            .accepting_later_beginnings(self.continued);
        for file in &self.files {
            let read = match file.as_os_str() == "-" {
                true => verifier.read(io::stdin().lock()),
                false => {
                    let opened = File::open(file);
                    let opened =
                        opened.map_err(|error| AuditVerifyError::Open(file.clone(), error))?;
                    verifier.read(BufReader::new(opened))
                }
            };
            read.map_err(|(line, defect)| AuditVerifyError::Defect {
                file: file.clone(),
                line,
                defect,
            })?;
        }
        let chains = verifier.finish().map_err(|error| {
            let files = self.files.iter().map(|file| file.display().to_string());
            AuditVerifyError::Incomplete {
                files: files.collect::<Vec<_>>().join(", "),
                error,
            }
        })?;
        Ok(chains.iter().map(ToString::to_string).collect())
    }
}

fn read_keys(file: &Path) -> Result<CheckpointKeys, AuditVerifyError> {
    let json = std::fs::read(file);
    let json = json.map_err(|error| AuditVerifyError::Open(file.to_owned(), error))?;
    CheckpointKeys::parse(&json).map_err(|error| AuditVerifyError::Keys(file.to_owned(), error))
}

fn expected_head(text: &str) -> Result<ExpectedHead, HeadError> {
    let (number, hash) = text.split_once(':').ok_or(HeadError)?;
    Ok(ExpectedHead {
        number: number.parse().map_err(|_| HeadError)?,
        hash: RecordHash::parse(hash).ok_or(HeadError)?,
    })
}
