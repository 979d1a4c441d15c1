//! `pulse-registry silences`: who wants no word of what, why, and until when.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Subcommand;
use pulse_proto::pb::registry::v1::{
    CreateSilenceRequest, DeleteSilenceRequest, ListSilencesRequest, MaintenanceWindow, Silence,
};
use pulse_shell::table::lines;

use super::alerts::{client, show, time};
use super::resources::{Target, explained};

const PAGE_SIZE: i32 = 1_000;
const SILENCE: &str = "pulse.registry.v1.Silence";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List silences.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Keep what matches quiet for a time.
    Add {
        /// AIP-160 over alerts, for example: connection_name = nas-1
        #[arg(long, short, value_name = "FILTER")]
        filter: String,
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[arg(long, env = "USER", value_name = "NAME")]
        author: String,
        /// From now on, for example 90m, 2h, 7d.
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        length: Duration,
        /// Only in a window that comes again, for example: --window "sat,sun 22:00 4h Europe/Berlin"
        #[arg(long, value_name = "DAYS START TIME [ZONE]", value_parser = window)]
        window: Option<MaintenanceWindow>,
        #[command(flatten)]
        target: Target,
    },
    /// End a silence.
    End {
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

fn span(text: &str) -> anyhow::Result<Duration> {
    pulse_shell::settings::duration(text).ok_or_else(|| anyhow!("expected a time such as 90m, 2h or 7d"))
}

/// `daily 22:00 4h`, `sat,sun 22:00 4h Europe/Berlin`.
fn window(text: &str) -> anyhow::Result<MaintenanceWindow> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (days, start, length, zone) = match words.as_slice() {
        [days, start, length] => (*days, *start, *length, ""),
        [days, start, length, zone] => (*days, *start, *length, *zone),
        _ => bail!("expected days, start and length, for example: sat,sun 22:00 4h"),
    };
    let days = if days == "daily" { Vec::new() } else { days.split(',').map(str::to_owned).collect() };
    Ok(MaintenanceWindow {
        days,
        start_time: start.to_owned(),
        duration: Some(span(length)?.try_into()?),
        time_zone: zone.to_owned(),
    })
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { target } => {
            let silences = list(&target).await?;
            show(&target, SILENCE, &silences, table)
        }
        Command::Add { filter, reason, author, length, window, target } => {
            let now = jiff::Timestamp::now();
            let end = now + jiff::SignedDuration::try_from(length)?;
            let expires_at = prost_types::Timestamp { seconds: end.as_second(), nanos: 0 };
            let silence = Silence {
                filter,
                reason,
                author,
                expires_at: Some(expires_at),
                window,
                ..Silence::default()
            };
            let request = CreateSilenceRequest { silence: Some(silence) };
            let answer = client(&target).await?.create_silence(request).await.map_err(explained)?;
            show(
                &target,
                SILENCE,
                &[answer.into_inner().silence.context("the registry sent no silence")?],
                table,
            )
        }
        Command::End { id, target } => {
            let request = DeleteSilenceRequest { id, etag: String::new() };
            client(&target).await?.delete_silence(request).await.map_err(explained)?;
            Ok(())
        }
    }
}

async fn list(target: &Target) -> anyhow::Result<Vec<Silence>> {
    let mut client = client(target).await?;
    let mut silences = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListSilencesRequest { page_size: PAGE_SIZE, page_token };
        let page = client.list_silences(request).await.map_err(explained)?.into_inner();
        silences.extend(page.silences);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(silences);
        }
    }
}

fn table(silences: &[Silence]) -> Vec<String> {
    let rows: Vec<Vec<String>> = silences
        .iter()
        .map(|silence| {
            vec![
                silence.filter.clone(),
                silence.author.clone(),
                silence.reason.clone(),
                silence.expires_at.as_ref().map(time).unwrap_or_default(),
                silence.window.as_ref().map_or_else(|| "always".to_owned(), shown),
                silence.id.clone(),
            ]
        })
        .collect();
    lines(&["FILTER", "AUTHOR", "REASON", "UNTIL", "WHEN", "ID"], &rows)
}

fn shown(window: &MaintenanceWindow) -> String {
    let days = if window.days.is_empty() { "daily".to_owned() } else { window.days.join(",") };
    let minutes = window.duration.as_ref().map_or(0, |length| length.seconds / 60);
    format!("{days} {} {minutes}m {}", window.start_time, window.time_zone).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_windows_are_read_as_people_write_them() {
        assert_eq!(span("90m").unwrap(), Duration::from_mins(90));
        assert_eq!(span("7d").unwrap(), Duration::from_hours(168));
        for wrong in ["", "h", "2x", "-1h"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
        let read = window("sat,sun 22:00 4h Europe/Berlin").unwrap();
        assert_eq!(
            (read.days.len(), read.start_time.as_str(), read.time_zone.as_str()),
            (2, "22:00", "Europe/Berlin")
        );
        assert_eq!(shown(&read), "sat,sun 22:00 240m Europe/Berlin");
        assert_eq!(shown(&window("daily 03:30 30m").unwrap()), "daily 03:30 30m");
        assert!(window("22:00 4h").is_err());
    }
}
