package import Base
import Telemetry

extension ServerMetrics {
    /// What the counters know. Pressure, slowed clients, the store's queue and DNS in flight are for others to fill in.
    package func topSnapshot(monotonic: Instant, started: Instant, wall: WallTime) -> TopSnapshot {
        var out = TopSnapshot()
        out.monotonic = Int(clamping: monotonic.nanoseconds / 1_000)
        out.uptimeSeconds = Int(max(0, monotonic.seconds(since: started)))
        out.time = Int(wall.seconds)
        for listener in ListenerLabel.allCases {
            out.connections += Int(clamping: connections.value(listener, .accepted))
            out.messagesAccepted += Int(clamping: messages.value(listener, .accepted))
            out.messagesRefused += Int(clamping: messages.value(listener, .rejected))
            out.messagesDeferred += Int(clamping: messages.value(listener, .deferred))
            out.sessions.append(TopSnapshot.Session(listener: listener.text, open: sessions.value(listener)))
        }
        for result in RecipientResult.allCases {
            let count = Int(clamping: recipients.value(result))
            if result == .accepted { out.recipientsAccepted = count } else { out.recipientsRefused += count }
        }
        out.octets = Int(clamping: bytesReceived.value)
        out.delivered = Int(clamping: queue.recipients.value(.delivered))
        out.deliveryDeferred = Int(clamping: queue.recipients.value(.deferred))
        out.deliveryFailed = Int(clamping: queue.recipients.value(.failed) &+ queue.recipients.value(.expired))
        out.inFlight = queue.inFlight.value
        out.commits = Int(clamping: commitDuration.count)
        out.commitMicroseconds = Int(clamping: commitDuration.sum / 1_000)
        out.turns = Int(clamping: reactorTurn.count)
        out.turnMicroseconds = Int(clamping: reactorTurn.sum / 1_000)
        out.dnsQueries = Int(clamping: dns.duration.count)
        out.held = defense.held.value
        out.refusals = refusals
        return out
    }

    /// Every control and effect that ever was.
    private var refusals: [TopSnapshot.Refusal] {
        var out: [TopSnapshot.Refusal] = []
        for control in DefenseControlLabel.allCases {
            for effect in DefenseEffectLabel.allCases where effect != .noted {
                let count = Int(clamping: defense.events.value(control, effect))
                if count > 0 {
                    out.append(TopSnapshot.Refusal(control: control.text, effect: effect.text, count: count))
                }
            }
        }
        return out
    }
}
