//! A store that speaks S3. The library signs and splits; trying again, limits of time and what an
//! error says are as for HTTP. One thread at a time drives the connections of all.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpConnector, HttpErrorKind, HttpRequest, HttpResponse, HttpService};
use object_store::path::Path;
use object_store::{ClientOptions, MultipartUpload, ObjectStoreExt as _, PutPayload, RetryConfig};
use tokio::runtime::Runtime;

use super::{Mistake, Name, Presence, Remote, both, no_client, patience};
use crate::base::http::{self, AsyncClient, Fault, HttpError, Method, Payload, Place, Sink};
use crate::config::RemoteCas;

/// Larger files are sent in parts of this size. S3 takes no smaller parts than 5 MiB.
const PART: u64 = 16 << 20;
/// S3 takes no more than 10000.
const MOST_PARTS: u64 = 9000;

pub(super) struct S3Store {
    store: AmazonS3,
    runtime: Runtime,
    place: Place,
    /// The bucket, and what stands before each name in it.
    bucket: String,
    prefix: String,
    patience: Duration,
}

/// The library would show the keys.
impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("place", &self.shown()).finish_non_exhaustive()
    }
}

impl S3Store {
    pub(super) fn new(settings: &RemoteCas, endpoint: Option<&Place>) -> Result<Self, Mistake> {
        let bucket = bucket(settings)?;
        let place = match endpoint {
            Some(place) => place.clone(),
            None => usual(&settings.region)?,
        };
        let client = http::async_client(&place).map_err(|problem| no_client(&problem))?;
        let builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket)
            .with_region(&settings.region)
            .with_endpoint(place.to_string())
            .with_allow_http(!place.is_secure())
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_http_connector(Connector(client));
        let builder = match (both(settings), &settings.access_key, &settings.secret_key) {
            (Some((name, key)), ..) => {
                builder.with_access_key_id(name.expose()).with_secret_access_key(key.expose())
            }
            // A bucket that is open to all; nothing else is asked for keys.
            (None, None, None) => builder.with_skip_signature(true),
            _ => {
                return Err(Mistake::new(
                    "only one of `remote_cas.access_key` and `remote_cas.secret_key` is set",
                    "set both, or neither for a bucket that is open to all",
                ));
            }
        };
        let store = builder.build().map_err(|error| no_client(&error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| no_client(&error.to_string()))?;
        let prefix = match settings.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let store = Self { store, runtime, place, bucket, prefix, patience: patience(settings) };
        // A name that any object could have.
        if store.path(&Name::object(crate::base::Digest::default())).is_err() {
            return Err(Mistake::new(
                "`remote_cas.prefix` cannot stand before names in S3",
                "it is made of plain words with `/` between them",
            ));
        }
        Ok(store)
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The address of the bucket, and of the folder in it.
    pub(super) fn shown(&self) -> String {
        let inside = format!("{}/{}", self.bucket, self.prefix);
        self.place.join(inside.trim_end_matches('/'))
    }

    fn path(&self, name: &Name) -> Result<Path, Fault> {
        let text = format!("{}{}", self.prefix, name.path());
        Path::parse(text).map_err(|error| Fault::Local(error.to_string()))
    }

    /// Runs to its end, or to the end of the time that is left.
    fn within<T>(
        &self,
        left: Duration,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let timed = async { tokio::time::timeout(left, work).await };
        self.runtime.block_on(timed).unwrap_or(Err(Fault::Late(left)))
    }

    async fn fetch(&self, path: &Path, into: &mut dyn Sink) -> Result<(), Fault> {
        let mut parts = self.store.get(path).await.map_err(|error| fault(&error))?.into_stream();
        into.restart().map_err(http::local)?;
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| http::broken(&error))?;
            into.write_all(&part).map_err(http::local)?;
        }
        Ok(())
    }

    async fn send(&self, path: &Path, payload: Payload<'_>) -> Result<(), Fault> {
        match payload {
            Payload::File(file, length) if length > PART => {
                let failed = |error: object_store::Error| fault(&error);
                let mut upload = self.store.put_multipart(path).await.map_err(failed)?;
                let sent = send_parts(upload.as_mut(), file, length).await;
                if sent.is_err() {
                    // What is left of it is the store's to clean up.
                    let _ = upload.abort().await;
                    return sent;
                }
                upload.complete().await.map(|_| ()).map_err(failed)
            }
            Payload::File(file, length) => {
                let mut from = file.try_clone().map_err(http::local)?;
                from.rewind().map_err(http::local)?;
                let bytes = read_part(&mut from, length).map_err(http::local)?;
                self.send_whole(path, bytes).await
            }
            Payload::Bytes(bytes) => self.send_whole(path, bytes.to_vec()).await,
        }
    }

    async fn send_whole(&self, path: &Path, bytes: Vec<u8>) -> Result<(), Fault> {
        let sent = self.store.put(path, PutPayload::from(bytes)).await;
        sent.map(|_| ()).map_err(|error| fault(&error))
    }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    file: &File,
    length: u64,
) -> Result<(), Fault> {
    let mut from = file.try_clone().map_err(http::local)?;
    from.rewind().map_err(http::local)?;
    let part = PART.max(length.div_ceil(MOST_PARTS));
    let mut left = length;
    while left > 0 {
        let bytes = read_part(&mut from, left.min(part)).map_err(http::local)?;
        left -= bytes.len() as u64;
        upload.put_part(PutPayload::from(bytes)).await.map_err(|error| fault(&error))?;
    }
    Ok(())
}

fn read_part(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl Remote for S3Store {
    fn address(&self, name: &Name) -> String {
        self.place.join(&format!("{}/{}{}", self.bucket, self.prefix, name.path()))
    }

    fn get(&self, name: &Name, size: u64, into: &mut dyn Sink) -> Result<bool, HttpError> {
        let allowed = http::allowed(self.patience, size);
        http::tried(Method::Get, &self.address(name), allowed, |left| {
            let path = self.path(name)?;
            match self.within(left, self.fetch(&path, into)) {
                Ok(()) => Ok(true),
                Err(Fault::Status(404)) => Ok(false),
                Err(fault) => Err(fault),
            }
        })
    }

    fn look_for(&self, name: &Name) -> Result<Presence, HttpError> {
        http::tried(Method::Head, &self.address(name), self.patience, |left| {
            let path = self.path(name)?;
            let head = async { self.store.head(&path).await.map_err(|error| fault(&error)) };
            match self.within(left, head) {
                Ok(meta) => Ok(Presence::There(Some(meta.size))),
                Err(Fault::Status(404)) => Ok(Presence::Absent),
                Err(fault) => Err(fault),
            }
        })
    }

    fn put(&self, name: &Name, payload: Payload<'_>) -> Result<(), HttpError> {
        let allowed = http::allowed(self.patience, payload.length());
        http::tried(Method::Put, &self.address(name), allowed, |left| {
            let path = self.path(name)?;
            self.within(left, self.send(&path, payload))
        })
    }
}

/// The name of the bucket, if it can be one: it stands in the address as it is.
fn bucket(settings: &RemoteCas) -> Result<String, Mistake> {
    let bucket = settings.bucket.as_str();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if bucket.is_empty() {
        return Err(Mistake::new(
            "the bucket of the remote store is not set",
            "set `remote_cas.bucket`, or the variable REPROVM_REMOTE_CAS_URL=s3://bucket/prefix",
        ));
    }
    if !bucket.bytes().all(good) || bucket.starts_with('.') {
        return Err(Mistake::new(
            "`remote_cas.bucket` is no name of a bucket",
            "it is made of letters, digits, `-`, `.` and `_`",
        ));
    }
    Ok(bucket.to_owned())
}

/// Where the buckets of a region are.
fn usual(region: &str) -> Result<Place, Mistake> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let host = format!("s3.{region}.amazonaws.com");
    match Place::parse(&host, true) {
        Ok(place) if !region.is_empty() && region.bytes().all(good) => Ok(place),
        _ => Err(Mistake::new(
            "`remote_cas.region` is no name of a region",
            "it is as in `us-east-1`, and goes into the address of the store",
        )),
    }
}

/// Our client under the library.
#[derive(Debug)]
struct Connector(AsyncClient);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<object_store::client::HttpClient> {
        Ok(object_store::client::HttpClient::new(Service(self.0.clone())))
    }
}

/// Turns answers that are refusals into errors at once: their bodies are not read.
#[derive(Debug)]
struct Service(AsyncClient);

#[async_trait]
impl HttpService for Service {
    async fn call(
        &self,
        request: HttpRequest,
    ) -> Result<HttpResponse, object_store::client::HttpError> {
        let response = self.0.call(request).await?;
        match http::refusal(response.status().as_u16(), response.headers()) {
            None => Ok(response),
            Some(fault) => Err(object_store::client::HttpError::new(HttpErrorKind::Unknown, fault)),
        }
    }
}

/// What lies under an error of the library.
fn fault(error: &object_store::Error) -> Fault {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(fault) = cause.downcast_ref::<Fault>() {
            return fault.clone();
        }
        next = cause.source();
    }
    http::failed(error)
}
