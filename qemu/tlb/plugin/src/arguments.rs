//! What stands behind the plugin's name: `out=FILE`, `check=on`, `stretches=on`, `profile=NAME`, `cost=NAME:VALUE`.

use tlb_model::model::Profile;

/// What is wanted.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) out: String,
    pub(crate) checks: bool,
    pub(crate) stretches: bool,
    pub(crate) profile: Option<Profile>,
}

impl Arguments {
    /// Reads them.
    pub(crate) fn read(words: &[String]) -> Result<Arguments, String> {
        let mut found = Arguments::default();
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("out", file) => file.clone_into(&mut found.out),
                ("check", "on") => found.checks = true,
                ("stretches", "on") => found.stretches = true,
                ("profile", name) => found.profile = Some(Profile::built_in(name)?),
                ("cost", cost) => {
                    let profile = found.profile.as_mut().ok_or("cost= comes behind profile=")?;
                    profile.set_cost(&cost.replace(':', "="))?;
                }
                _ => return Err(format!("{word:?} is not out=, check=on, stretches=on, profile= or cost=")),
            }
        }
        if found.out.is_empty() {
            return Err("out=FILE is missing".into());
        }
        if found.stretches && (found.checks || found.profile.is_some()) {
            return Err("stretches=on watches nothing else".into());
        }
        Ok(found)
    }
}
