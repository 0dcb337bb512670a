/**
 * Read what RTCPeerConnection.getStats knows of one camera's video (docs/protocol.md, 7).
 */

export const NO_STATS = {
  activity: 0, frames: 0, fps: 0, width: 0, height: 0,
  bytes: 0, packets: 0, lost: 0, // freezes, jitter_s and rtt_s are not known
};

/**
 * Return the figures in a report of getStats.
 *
 * `activity` grows with anything that comes, RTCP included; `frames`, `bytes`, `packets`, `lost`
 * and `freezes` count the video from its beginning.
 */
export function readStats(report) {
  const stats = { ...NO_STATS };
  for (const entry of report.values()) {
    if (['transport', 'candidate-pair', 'inbound-rtp'].includes(entry.type)) {
      stats.activity += entry.bytesReceived ?? 0;
    }
    if (entry.type === 'remote-outbound-rtp') stats.activity += entry.reportsSent ?? 0;
    if (entry.type === 'candidate-pair' && entry.nominated && entry.state === 'succeeded') {
      stats.rtt_s = entry.currentRoundTripTime;
    }
    if (entry.type === 'inbound-rtp' && entry.kind === 'video') {
      stats.frames += entry.framesDecoded ?? 0;
      stats.bytes += entry.bytesReceived ?? 0;
      stats.packets += entry.packetsReceived ?? 0;
      stats.lost += entry.packetsLost ?? 0;
      stats.fps = entry.framesPerSecond ?? 0;
      stats.width = entry.frameWidth ?? 0;
      stats.height = entry.frameHeight ?? 0;
      stats.freezes = entry.freezeCount;
      stats.jitter_s = entry.jitter;
    }
  }
  return stats;
}

/** Return the members of a `stats` message about the time between two readings. */
export function makeReport(before, after, elapsed_s, latency_ms) {
  const lost = Math.max(after.lost - before.lost, 0); // a late packet takes its loss back
  const packets = after.packets - before.packets;
  const figures = {
    fps: (after.frames - before.frames) / elapsed_s,
    bitrate_bps: ((after.bytes - before.bytes) * 8) / elapsed_s,
    rtt_ms: after.rtt_s * 1000,
    jitter_ms: after.jitter_s * 1000,
    loss: lost / (lost + packets),
    freezes: after.freezes,
    latency_ms,
  };
  const known = ([, value]) => Number.isFinite(value) && value >= 0;
  return Object.fromEntries(Object.entries(figures).filter(known));
}
