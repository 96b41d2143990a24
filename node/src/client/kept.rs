//! Asks for what the node keeps for agents: configs, secrets, volumes.

use std::collections::BTreeMap;

use hyper::Method;
use hyper::body::Bytes;
use skerry_core::document::Configs;
use skerry_core::ids::{DataKey, DataName, VolumeName};

use super::{Client, ClientError, json};
use crate::api::{Applied, Done, SecretList, SecretValues, VolumeList};

impl Client {
    /// The configs of local agents.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn configs(&self) -> Result<Configs, ClientError> {
        self.get("/v1/configs").await
    }

    /// Makes a config what `values` says.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn set_config(
        &self,
        name: &DataName,
        values: &BTreeMap<DataKey, String>,
    ) -> Result<Applied, ClientError> {
        self.ask(Method::PUT, &format!("/v1/configs/{name}"), json(values)).await
    }

    /// Removes a config.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn remove_config(&self, name: &DataName) -> Result<Applied, ClientError> {
        self.ask(Method::DELETE, &format!("/v1/configs/{name}"), Bytes::new()).await
    }

    /// The secrets of the node, without their values.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn secrets(&self) -> Result<SecretList, ClientError> {
        self.get("/v1/secrets").await
    }

    /// Sets values of a secret.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn set_secret(
        &self,
        name: &DataName,
        values: &BTreeMap<DataKey, Vec<u8>>,
    ) -> Result<Done, ClientError> {
        let hex = values.iter().map(|(key, value)| (key.clone(), hex::encode(value))).collect();
        let body = json(&SecretValues { hex });
        self.ask(Method::POST, &format!("/v1/secrets/{name}"), body).await
    }

    /// Removes a secret, or one key of it.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn remove_secret(
        &self,
        name: &DataName,
        key: Option<&DataKey>,
    ) -> Result<Done, ClientError> {
        let path = match key {
            Some(key) => format!("/v1/secrets/{name}/{key}"),
            None => format!("/v1/secrets/{name}"),
        };
        self.ask(Method::DELETE, &path, Bytes::new()).await
    }

    /// The volumes of the node.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn volumes(&self) -> Result<VolumeList, ClientError> {
        self.get("/v1/volumes").await
    }

    /// Removes a volume with all that is in it.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn remove_volume(&self, name: &VolumeName) -> Result<Done, ClientError> {
        self.ask(Method::DELETE, &format!("/v1/volumes/{name}"), Bytes::new()).await
    }
}
