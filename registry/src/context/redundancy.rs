//! How many more devices a pool can lose: from its vdev tree, not from its state.

use pulse_proto::model::{Pool, Vdev};

/// Of the vdev that has the least left; the pool is lost with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Redundancy {
    /// Kind of that vdev, for people.
    pub layout: &'static str,
    /// Devices it can lose when all is well.
    pub spare: u64,
    /// Devices it can still lose.
    pub left: u64,
    /// More are gone than it can lose.
    pub lost: bool,
}

/// Roles whose loss is the pool's loss.
const VITAL: [&str; 3] = ["data", "special", "dedup"];

/// `None` when the pool shows no devices.
pub(crate) fn of(pool: &Pool) -> Option<Redundancy> {
    let vital =
        pool.groups.iter().filter(|group| VITAL.iter().any(|role| group.role.eq_ignore_ascii_case(role)));
    let vdevs = vital.flat_map(|group| &group.vdevs).filter_map(of_vdev);
    vdevs.min_by_key(|found| (!found.lost, found.left, found.spare))
}

fn of_vdev(vdev: &Vdev) -> Option<Redundancy> {
    let kind = vdev.kind.to_ascii_uppercase();
    let members = vdev.children.len() as u64;
    let (layout, spare) = match kind.as_str() {
        "MIRROR" => ("mirror", members.saturating_sub(1)),
        "RAIDZ" | "RAIDZ1" => ("raidz1", 1),
        "RAIDZ2" => ("raidz2", 2),
        "RAIDZ3" => ("raidz3", 3),
        _ if kind.starts_with("DRAID3") => ("draid3", 3),
        _ if kind.starts_with("DRAID2") => ("draid2", 2),
        _ if kind.starts_with("DRAID") => ("draid1", 1),
        // A bare disk, or one that is being replaced.
        "DISK" | "FILE" | "STRIPE" | "SPARE" | "REPLACING" | "" => ("single disk", 0),
        // Holes of removed vdevs hold nothing.
        _ => return None,
    };
    let gone = if members == 0 || layout == "single disk" {
        u64::from(!works(vdev))
    } else {
        vdev.children.iter().filter(|child| !works(child)).count() as u64
    };
    Some(Redundancy { layout, spare, left: spare.saturating_sub(gone), lost: gone > spare })
}

/// Whether all data of the device can be read from it. What is being rebuilt holds not all of it yet.
fn works(vdev: &Vdev) -> bool {
    let is_rebuilt = ["SPARE", "REPLACING"].iter().any(|kind| vdev.kind.eq_ignore_ascii_case(kind));
    let healthy = ["ONLINE", "AVAIL", "INUSE"].iter().any(|state| vdev.state.eq_ignore_ascii_case(state));
    !vdev.missing && (healthy || (!is_rebuilt && vdev.state.eq_ignore_ascii_case("DEGRADED")))
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::VdevGroup;

    use super::*;

    fn vdev(kind: &str, states: &[&str]) -> Vdev {
        let child = |state: &&str| Vdev { kind: "DISK".into(), state: (*state).into(), ..Vdev::default() };
        let state = if states.iter().all(|state| *state == "ONLINE") { "ONLINE" } else { "DEGRADED" };
        let children = states.iter().map(child).collect();
        Vdev { kind: kind.into(), state: state.into(), children, ..Vdev::default() }
    }

    fn left(groups: &[(&str, Vec<Vdev>)]) -> Option<(&'static str, u64, u64, bool)> {
        let group =
            |(role, vdevs): &(&str, Vec<Vdev>)| VdevGroup { role: (*role).into(), vdevs: vdevs.clone() };
        let pool = Pool { groups: groups.iter().map(group).collect(), ..Pool::default() };
        of(&pool).map(|found| (found.layout, found.spare, found.left, found.lost))
    }

    #[test]
    fn the_weakest_vdev_decides() {
        let ok = "ONLINE";
        for (groups, expected) in [
            (vec![("data", vec![vdev("RAIDZ2", &[ok; 6])])], Some(("raidz2", 2, 2, false))),
            (
                vec![("data", vec![vdev("RAIDZ2", &[ok, ok, ok, ok, ok, "FAULTED"])])],
                Some(("raidz2", 2, 1, false)),
            ),
            (vec![("data", vec![vdev("RAIDZ1", &["UNAVAIL", "REMOVED", ok])])], Some(("raidz1", 1, 0, true))),
            (
                vec![("data", vec![vdev("MIRROR", &[ok, ok]), vdev("MIRROR", &[ok, "OFFLINE"])])],
                Some(("mirror", 1, 0, false)),
            ),
            (
                vec![("data", vec![vdev("MIRROR", &[ok; 3])]), ("log", vec![vdev("DISK", &[])])],
                Some(("mirror", 2, 2, false)),
            ),
            (
                vec![("data", vec![vdev("RAIDZ3", &[ok; 8])]), ("special", vec![vdev("MIRROR", &[ok, ok])])],
                Some(("mirror", 1, 1, false)),
            ),
            (vec![("data", vec![vdev("DRAID2:4d:8c:1s", &[ok; 8])])], Some(("draid2", 2, 2, false))),
            (
                vec![("data", vec![Vdev { kind: "DISK".into(), state: ok.into(), ..Vdev::default() }])],
                Some(("single disk", 0, 0, false)),
            ),
            (vec![], None),
        ] {
            assert_eq!(left(&groups), expected, "{groups:?}");
        }
    }

    #[test]
    fn a_device_that_is_being_rebuilt_does_not_count_yet() {
        let mut raidz = vdev("RAIDZ2", &["ONLINE"; 5]);
        raidz.children.push(vdev("REPLACING", &["FAULTED", "ONLINE"]));
        assert_eq!(left(&[("data", vec![raidz])]), Some(("raidz2", 2, 1, false)));
    }
}
