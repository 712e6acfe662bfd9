//! The settings of a call: which files there are, and the order of what they and others say.

use std::path::Path;

use super::types::Error;
use crate::config::{Entry, Environment, FileLayer, Settings, system_file, user_file};
use crate::home::Home;

/// Loads the settings for the project that the process stands in. `given` is a file that was
/// asked for; `flags` are the strongest.
pub fn load_settings(
    environment: &Environment,
    given: Option<&Path>,
    flags: Vec<Entry>,
) -> Result<Settings, Error> {
    let project = FileLayer { path: Home::config_file(), must_exist: false };
    let given = given.map(|path| FileLayer { path: path.to_path_buf(), must_exist: true });
    let layers: Vec<FileLayer> =
        [system_file(environment), user_file(environment), Some(project), given]
            .into_iter()
            .flatten()
            .collect();
    Settings::load(&layers, environment, flags).map_err(Error::Config)
}
