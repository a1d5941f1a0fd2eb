//! `tdemo.toml`: named profiles, each a few of the [`Key`]s.
//!
//! ```toml
//! [profile.f3s]
//! target = "http://tracing-demo.example"
//! tempo-url = "http://tempo.example:3200"
//! header-file = "/home/me/.config/tdemo/f3s.headers"
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{ConfigError, Key};

/// The profile that is used when none is named and the file has it.
const DEFAULT_PROFILE: &str = "default";

/// The name of the file, in the working directory and in the user's
/// configuration directory.
const FILE_NAME: &str = "tdemo.toml";

/// One profile: what it sets.
pub type Profile = BTreeMap<Key, String>;

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its profiles by name.
    pub profiles: BTreeMap<String, Profile>,
}

/// Finds the file and reads it: `asked` (from `--config` or `TDEMO_CONFIG`,
/// named by `place`), else `tdemo.toml` in `here`, else
/// `$XDG_CONFIG_HOME/tdemo/tdemo.toml` (`~/.config/tdemo/tdemo.toml`). A file
/// that was asked for must be there.
///
/// # Errors
/// It cannot be read, or is no such file.
pub fn find_file(
    asked: Option<(&str, &Path)>,
    here: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<ProfileFile>, ConfigError> {
    let (place, candidates) = match asked {
        Some((place, path)) => (place, vec![path.to_owned()]),
        None => (
            FILE_NAME,
            [Some(here.join(FILE_NAME)), user_file(variable)]
                .into_iter()
                .flatten()
                .collect(),
        ),
    };
    for path in candidates {
        match std::fs::read_to_string(&path) {
            Ok(text) => return ProfileFile::parse(path, &text).map(Some),
            Err(error) if asked.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(ConfigError::Unreadable {
                    place: place.to_owned(),
                    file: path,
                    reason: error.to_string(),
                });
            }
        }
    }
    Ok(None)
}

fn user_file(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let base = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".config")))?;
    Some(base.join("tdemo").join(FILE_NAME))
}

impl ProfileFile {
    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    /// It is no TOML, or has a key that means nothing, or a value that is no
    /// string: [`ConfigError::Malformed`] with the line.
    pub fn parse(path: PathBuf, text: &str) -> Result<Self, ConfigError> {
        let malformed = |span: Option<std::ops::Range<usize>>, reason: String| {
            let upto = span.map_or(0, |span| span.start);
            ConfigError::Malformed {
                file: path.clone(),
                line: 1 + text.get(..upto).unwrap_or(text).matches('\n').count(),
                reason,
            }
        };
        let parsed: Written = toml::from_str(text)
            .map_err(|error| malformed(error.span(), error.message().replace('\n', " ")))?;
        let mut profiles = BTreeMap::new();
        for (name, written) in parsed.profile {
            let mut profile = Profile::new();
            for (key, value) in written {
                let name = key.get_ref();
                let known = Key::from_name(name).ok_or_else(|| {
                    let names: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
                    malformed(
                        Some(key.span()),
                        format!("{name:?} is no setting; there are {}", names.join(", ")),
                    )
                })?;
                profile.insert(known, value);
            }
            profiles.insert(name, profile);
        }
        Ok(Self { path, profiles })
    }

    /// The profile `wanted`, or the one called `default` when none is wanted
    /// and the file has it.
    ///
    /// # Errors
    /// [`ConfigError::NoProfile`] when the one that is wanted is not there.
    pub fn pick(&self, wanted: Option<&str>) -> Result<Option<(&str, &Profile)>, ConfigError> {
        let found = self
            .profiles
            .get_key_value(wanted.unwrap_or(DEFAULT_PROFILE))
            .map(|(name, profile)| (name.as_str(), profile));
        match (found, wanted) {
            (None, Some(wanted)) => Err(ConfigError::NoProfile {
                wanted: wanted.to_owned(),
                file: Some(self.path.clone()),
                known: self.profiles.keys().cloned().collect(),
            }),
            (found, _) => Ok(found),
        }
    }
}

/// The file as it is written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    profile: BTreeMap<String, BTreeMap<toml::Spanned<String>, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ProfileFile, ConfigError> {
        ProfileFile::parse("tdemo.toml".into(), text)
    }

    #[test]
    fn a_named_profile_is_picked_and_default_needs_no_name() {
        let file = parse(
            "[profile.default]\ntarget = \"http://a:1\"\n[profile.f3s]\ntempo-url = \"http://t\"\n",
        )
        .unwrap();
        let (name, profile) = file.pick(None).unwrap().unwrap();
        assert_eq!(
            (name, profile[&Key::Target].as_str()),
            ("default", "http://a:1")
        );
        let (name, profile) = file.pick(Some("f3s")).unwrap().unwrap();
        assert_eq!(
            (name, profile[&Key::TempoUrl].as_str()),
            ("f3s", "http://t")
        );
        assert_eq!(
            file.pick(Some("prod")).unwrap_err().to_string(),
            "--profile prod: tdemo.toml has no such profile, only default, f3s"
        );
        assert_eq!(parse("").unwrap().pick(None).unwrap(), None);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let line = |text: &str| parse(text).unwrap_err().to_string();
        assert!(
            line("[profile.a]\ntarget = \"x\"\ntempo_url = \"y\"\n")
                .starts_with("tdemo.toml, line 3: \"tempo_url\" is no setting; there are target,")
        );
        assert!(line("[profile.a]\ntarget = 5\n").starts_with("tdemo.toml, line 2: "));
        assert!(line("\n\n[profile\n").starts_with("tdemo.toml, line 3: "));
        assert!(line("profiles = 1\n").contains("profile"));
        for text in ["[profile.a]\ntarget = 5\n", "[profile\n", "profiles = 1\n"] {
            assert_eq!(line(text).lines().count(), 1);
        }
    }

    #[test]
    fn the_working_directory_comes_before_the_users_and_a_named_file_must_exist() {
        let here = tempfile::tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        let home_path = home.path().to_str().unwrap().to_owned();
        let variable = move |name: &str| (name == "HOME").then(|| home_path.clone());
        assert_eq!(find_file(None, here.path(), &variable).unwrap(), None);

        let users = home.path().join(".config/tdemo");
        std::fs::create_dir_all(&users).unwrap();
        std::fs::write(users.join("tdemo.toml"), "").unwrap();
        let found = find_file(None, here.path(), &variable).unwrap().unwrap();
        assert_eq!(found.path, users.join("tdemo.toml"));

        std::fs::write(here.path().join("tdemo.toml"), "").unwrap();
        let found = find_file(None, here.path(), &variable).unwrap().unwrap();
        assert_eq!(found.path, here.path().join("tdemo.toml"));

        let missing = here.path().join("none.toml");
        let error = find_file(Some(("--config", &missing)), here.path(), &variable).unwrap_err();
        assert!(error.to_string().starts_with("--config: cannot read "));
    }
}
