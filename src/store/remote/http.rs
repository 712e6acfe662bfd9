//! A store that speaks the protocol of HTTP caches: `GET`, `HEAD` and `PUT` of `cas/…` and `ac/…`.

use super::{Mistake, Name, Presence, Remote, both, no_client, patience};
use crate::base::http::{Auth, Client, HttpError, Payload, Place, Sink};
use crate::config::RemoteCas;

#[derive(Debug)]
pub(super) struct HttpStore {
    client: Client,
    place: Place,
}

impl HttpStore {
    pub(super) fn new(settings: &RemoteCas, place: &Place) -> Result<Self, Mistake> {
        let auth = match (both(settings), &settings.secret_key) {
            (Some((name, key)), _) => Auth::Basic(name.clone(), key.clone()),
            (None, Some(token)) => Auth::Bearer(token.clone()),
            (None, None) if settings.access_key.is_some() => {
                return Err(Mistake::new(
                    "`remote_cas.access_key` is set, and `remote_cas.secret_key` is not",
                    "set both, or only `remote_cas.secret_key` for a token",
                ));
            }
            (None, None) => Auth::None,
        };
        let client =
            Client::new(place, auth, patience(settings)).map_err(|problem| no_client(&problem))?;
        Ok(Self { client, place: place.clone() })
    }
}

impl Remote for HttpStore {
    fn address(&self, name: &Name) -> String {
        self.place.join(&name.path())
    }

    fn get(&self, name: &Name, size: u64, into: &mut dyn Sink) -> Result<bool, HttpError> {
        self.client.get(&self.address(name), size, into)
    }

    fn look_for(&self, name: &Name) -> Result<Presence, HttpError> {
        let found = self.client.head(&self.address(name))?;
        Ok(found.map_or(Presence::Absent, Presence::There))
    }

    fn put(&self, name: &Name, payload: Payload<'_>) -> Result<(), HttpError> {
        self.client.put(&self.address(name), payload)
    }
}
