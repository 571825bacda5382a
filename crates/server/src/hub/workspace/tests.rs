//! Sessions of one workspace, without a store behind them.

use syncline_core::Name;
use syncline_core::principal::{DeploymentMode, ReadScope};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::hub::outlet::Wire;

const LIMITS: RingLimits = RingLimits { frames_max: 100, bytes_max: 100_000 };

/// A session that is granted everything and has been sent everything up to `cursor`.
async fn session(hub: &Arc<WorkspaceHub>, number: u128, cursor: Seq) -> (Registered, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    tcp.writable().await.unwrap();
    let info = SessionInfo {
        connection_id: Uuid::from_u128(number),
        user_id: UserId::from_u128(number),
        device_id: DeviceId::from_u128(number),
        client_id: ClientId::from_u128(number),
        deployment_mode: DeploymentMode::WebApp,
        sid: Uuid::from_u128(number),
        since_ms: 0,
    };
    let mut registered = hub.register(info, Arc::new(Outlet::new(Wire::Tcp(tcp), Packing::Plain)), usize::MAX).unwrap();
    let access = Access { role: Name::new("agent"), rank: 20, read_scope: ReadScope::All, grants: Grants::All };
    assert!(registered.join(&access, hub.access_version()));
    registered.seat.set_cursor(cursor);
    (registered, peer)
}

fn frames(session: &Registered) -> usize {
    session.begin();
    match session.take() {
        Taken::Frames(_, frames) => frames,
        Taken::Nothing => 0,
        Taken::Behind => panic!("it would have to read the store again"),
    }
}

#[tokio::test]
async fn bat_1_who_wants_a_seq_that_others_are_ahead_of_is_not_behind() {
    let hub = Arc::new(WorkspaceHub::new(LIMITS, Arc::default()));
    let ((early, _a), (late, _b)) = (session(&hub, 1, 3).await, session(&hub, 2, 5).await);
    assert_eq!(hub.anchor(3), None);
    early.want(3);
    // Commits that do not concern them go by.
    hub.lock().published = Some(8);
    late.want(5);
    assert_eq!((frames(&early), frames(&late)), (2, 1));
    assert_eq!((early.seat.cursor(), late.seat.cursor()), (8, 8));
    early.want(7);
    assert_eq!((frames(&early), frames(&late)), (0, 0), "it is covered already");
}

#[tokio::test]
async fn grt_1_a_signal_takes_a_parked_session_back_before_anything_is_written() {
    let hub = Arc::new(WorkspaceHub::new(LIMITS, Arc::default()));
    let (mut session, _peer) = session(&hub, 1, 3).await;
    session.want(3);
    assert!(session.park());
    assert_eq!(hub.signal(Among::All, |_| true, Signals::sign_out), 1);
    let audience = hub.lock().audiences().remove(0);
    audience.push(&Frame { from: 3, to: 4, bytes: Some(empty_batch(3, 4)) });
    assert_eq!(audience.deliver(), 0);
    // Whoever parks again without having looked is not written to either.
    assert!(!session.park() && session.has_signal());
    assert_eq!(frames(&session), 1);
    assert_eq!(frames(&session), 0);
    assert!(session.park());
    audience.push(&Frame { from: 4, to: 5, bytes: Some(empty_batch(4, 5)) });
    assert_eq!(audience.deliver(), 0, "the signal has not been looked at");
    assert!(!session.next().await, "it is a signal that it wakes up for");
    assert_eq!((frames(&session), frames(&session)), (1, 0));
    assert!(session.park());
    audience.push(&Frame { from: 5, to: 6, bytes: Some(empty_batch(5, 6)) });
    assert_eq!(audience.deliver(), 1);
}

#[tokio::test]
async fn hub_1_sessions_are_found_by_user_and_device_and_forgotten_when_they_end() {
    let hub = Arc::new(WorkspaceHub::new(LIMITS, Arc::default()));
    let ((one, _a), (two, _b)) = (session(&hub, 1, 0).await, session(&hub, 2, 0).await);
    let count = |these: Among<'_>| hub.signal(these, |_| true, Signals::mail);
    let devices = |numbers: &[u128]| numbers.iter().map(|number| DeviceId::from_u128(*number)).collect();
    assert_eq!((count(Among::All), count(Among::User(UserId::from_u128(2)))), (2, 1));
    assert_eq!(count(Among::Devices(&devices(&[1, 2, 3]))), 2);
    assert_eq!(hub.signal(Among::User(UserId::from_u128(1)), |_| false, Signals::mail), 0);
    drop(one);
    assert_eq!(count(Among::Devices(&devices(&[1, 2, 3]))), 1);
    assert_eq!(count(Among::User(UserId::from_u128(1))), 0);
    drop(two);
    let state = hub.lock();
    assert!(state.by_user.is_empty() && state.by_device.is_empty());
}
