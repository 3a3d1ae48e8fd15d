//! russh with russh-sftp. Prints `PASS name` or `FAIL name: why` for each check.

use std::{collections::BTreeSet, env, error::Error, fs, future::Future, sync::Arc};

use russh::client::{self, Handle};
use russh::keys::{known_hosts::check_known_hosts_path, load_secret_key, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh_sftp::client::{error::Error as SftpError, fs::Metadata, SftpSession};
use russh_sftp::protocol::{OpenFlags, StatusCode};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn told(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

async fn check(name: &str, work: impl Future<Output = Outcome>) {
    match work.await {
        Ok(()) => println!("PASS {name}"),
        Err(why) => println!("FAIL {name}: {}", why.to_string().replace('\n', " ")),
    }
}

fn that(right: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if right { Ok(()) } else { Err(otherwise().into()) }
}

struct KnownHosts;

impl client::Handler for KnownHosts {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let port = told("SFTP_PORT").parse().expect("a port");
        Ok(check_known_hosts_path(&told("SFTP_HOST"), port, key, told("SFTP_KNOWN_HOSTS"))?)
    }
}

async fn connected(by_key: bool) -> Outcome<(Handle<KnownHosts>, SftpSession)> {
    let address = (told("SFTP_HOST"), told("SFTP_PORT").parse()?);
    let mut ssh = client::connect(Arc::new(client::Config::default()), address, KnownHosts).await?;
    let answer = if by_key {
        let key = PrivateKeyWithHashAlg::new(Arc::new(load_secret_key(told("SFTP_KEY"), None)?), None);
        ssh.authenticate_publickey(told("SFTP_USER"), key).await?
    } else {
        ssh.authenticate_password(told("SFTP_USER"), told("SFTP_PASSWORD")).await?
    };
    that(answer.success(), || "the login was refused".into())?;
    let channel = ssh.channel_open_session().await?;
    channel.request_subsystem(true, "sftp").await?;
    Ok((ssh, SftpSession::new(channel.into_stream()).await?))
}

async fn names(sftp: &SftpSession, directory: &str) -> Outcome<BTreeSet<String>> {
    Ok(sftp.read_dir(directory).await?.map(|entry| entry.file_name()).collect())
}

async fn lists(sftp: &SftpSession, directory: &str, wanted: &[&str]) -> Outcome {
    let found = names(sftp, directory).await?;
    that(found.iter().eq(wanted), || format!("{found:?}"))
}

async fn walk(sftp: &SftpSession, top: &str) -> Outcome<BTreeSet<String>> {
    let (mut found, mut left) = (BTreeSet::new(), vec![String::new()]);
    while let Some(directory) = left.pop() {
        for entry in sftp.read_dir(format!("{top}/{directory}")).await? {
            let path = format!("{directory}{}", entry.file_name());
            if entry.file_type().is_dir() {
                left.push(format!("{path}/"));
            }
            found.insert(path);
        }
    }
    Ok(found)
}

async fn put(sftp: &SftpSession, path: &str, content: &[u8], flags: OpenFlags) -> Outcome {
    let mut file = sftp.open_with_flags(path, OpenFlags::WRITE | flags).await?;
    file.write_all(content).await?;
    Ok(file.close().await?)
}

async fn holds(sftp: &SftpSession, path: &str, wanted: &[u8]) -> Outcome {
    let mut got = Vec::new();
    sftp.open(path).await?.read_to_end(&mut got).await?;
    that(got == wanted, || format!("{path} has {} other bytes", got.len()))
}

fn complete(found: &Metadata) -> Outcome {
    let whole = found.size.is_some() && found.uid.is_some() && found.gid.is_some() && found.atime.is_some();
    that(whole && found.permissions.unwrap_or(0) & 0o700 != 0, || format!("{found:?}"))?;
    that(found.mtime.unwrap_or(0) >= 946_684_800, || format!("a time before 2000: {:?}", found.mtime))
}

fn no_such_file<T>(answer: Result<T, SftpError>) -> Outcome {
    match answer {
        Ok(_) => Err("it is there".into()),
        Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => Ok(()),
        Err(other) => Err(other.into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let remote = told("SFTP_REMOTE");
    check("login-password", async { lists(&connected(false).await?.1, &remote, &["seed.txt", "seeded"]).await }).await;
    check("login-key", async {
        let (_ssh, sftp) = connected(true).await?;
        rest(&sftp, &remote).await;
        Ok(sftp.close().await?)
    })
    .await;
}

async fn rest(sftp: &SftpSession, remote: &str) {
    let local = told("SFTP_LOCAL");
    let small = fs::read(format!("{local}/small")).expect("a small file");
    let large = fs::read(format!("{local}/large")).expect("a large file");
    let fresh = OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let at = |name: &str| format!("{remote}/{name}");

    check("list", lists(sftp, remote, &["seed.txt", "seeded"])).await;
    check("stat-file", async {
        let found = sftp.metadata(at("seed.txt")).await?;
        that(found.is_regular() && found.len() == 4, || format!("{found:?}"))?;
        complete(&found)
    })
    .await;
    check("stat-directory", async {
        let found = sftp.metadata(at("seeded")).await?;
        that(found.is_dir(), || format!("{found:?}"))?;
        complete(&found)
    })
    .await;
    check("mkdir-nested", async {
        for name in ["a", "a/b", "a/b/c"] {
            sftp.create_dir(at(name)).await?;
        }
        lists(sftp, &at("a/b"), &["c"]).await
    })
    .await;
    check("put-small", put(sftp, &at("a/small"), &small, fresh)).await;
    check("put-large", put(sftp, &at("a/b/c/large"), &large, fresh)).await;
    check("get-small", holds(sftp, &at("a/small"), &small)).await;
    check("get-large", holds(sftp, &at("a/b/c/large"), &large)).await;
    check("append", async {
        // its own offset is what russh-sftp sends, so it is moved to the end
        let mut file = sftp.open_with_flags(at("a/small"), OpenFlags::WRITE).await?;
        file.seek(std::io::SeekFrom::End(0)).await?;
        file.write_all(b"more").await?;
        file.close().await?;
        holds(sftp, &at("a/small"), &[&small[..], b"more"].concat()).await
    })
    .await;
    check("rename", async {
        sftp.rename(at("a/small"), at("a/renamed")).await?;
        no_such_file(sftp.metadata(at("a/small")).await)
    })
    .await;
    check("walk", async {
        let found = walk(sftp, remote).await?;
        let wanted = ["seed.txt", "seeded/inner.txt", "a/renamed", "a/b/c/large"];
        that(wanted.iter().all(|name| found.contains(*name)), || format!("{found:?}"))
    })
    .await;
    check("missing", async { no_such_file(sftp.open(at("missing")).await) }).await;
    check("times", async {
        let times = Metadata { atime: Some(1_577_836_800), mtime: Some(1_577_836_800), ..Metadata::empty() };
        sftp.set_metadata(at("a/renamed"), times).await?;
        let found = sftp.metadata(at("a/renamed")).await?;
        that(found.mtime == Some(1_577_836_800), || format!("{:?}", found.mtime))
    })
    .await;
    check("remove", async {
        sftp.remove_file(at("a/renamed")).await?;
        lists(sftp, &at("a"), &["b"]).await
    })
    .await;
    check("rmdir", async {
        sftp.rename(at("a/b/c/large"), at("kept")).await?;
        for name in ["a/b/c", "a/b", "a"] {
            sftp.remove_dir(at(name)).await?;
        }
        lists(sftp, remote, &["kept", "seed.txt", "seeded"]).await
    })
    .await;
}
