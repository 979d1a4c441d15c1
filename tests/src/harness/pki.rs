//! Certificates for the pair itself: an authority, and what it issues to files.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

/// An authority whose certificate lies in a folder.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    name: String,
}

impl Authority {
    /// Writes `NAME.pem`.
    pub fn new(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        std::fs::write(folder.join(format!("{name}.pem")), issuer.pem())?;
        Ok(Self { issuer, folder: folder.to_owned(), name: name.to_owned() })
    }

    pub fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.pem", self.name))
    }

    /// A certificate for `localhost` and 127.0.0.1.
    pub fn issue_server(&self, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        self.issue(name, CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?)
    }

    /// A certificate that names its owner by a URI.
    pub fn issue_client(&self, name: &str, uri: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        self.issue(name, params)
    }

    /// Writes `NAME.crt` and `NAME.key`, in place of what was there.
    fn issue(&self, name: &str, mut params: CertificateParams) -> anyhow::Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let paths = (self.folder.join(format!("{name}.crt")), self.folder.join(format!("{name}.key")));
        std::fs::write(&paths.0, certificate.pem())?;
        std::fs::write(&paths.1, key.serialize_pem())?;
        Ok(paths)
    }
}
