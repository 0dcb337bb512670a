/** Read what RTCPeerConnection.getStats knows of one camera's video (docs/protocol.md, 7). */

/**
 * Return the figures in a report of getStats.
 *
 * `activity` grows with anything that comes, RTCP included. Counts are from the beginning.
 */
export function readStats(report) {
	const entries = [...report.values()];
	const sum = (name) => entries.reduce((total, entry) => total + (entry[name] ?? 0), 0);
	const video = entries.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video') ?? {};
	const pair = entries.find(({ nominated, state }) => nominated && state === 'succeeded');
	return {
		activity: sum('bytesReceived') + sum('reportsSent'),
		frames: video.framesDecoded ?? 0,
		received: video.framesReceived ?? 0,
		bytes: video.bytesReceived ?? 0,
		packets: video.packetsReceived ?? 0,
		lost: video.packetsLost ?? 0,
		dropped: video.framesDropped,
		freezes: video.freezeCount,
		jitter_s: video.jitter,
		rtt_s: pair?.currentRoundTripTime,
		width: video.frameWidth,
		height: video.frameHeight,
		codec: report.get(video.codecId)?.mimeType.split('/')[1],
	};
}

export const NO_STATS = readStats(new Map());

/** Return the members of a `stats` message about the time between two readings. */
export function makeReport(before, after, elapsed_s, latency_ms) {
	const lost = Math.max(after.lost - before.lost, 0); // a late packet takes its loss back
	const figures = {
		fps: (after.frames - before.frames) / elapsed_s,
		bitrate_bps: ((after.bytes - before.bytes) * 8) / elapsed_s,
		rtt_ms: after.rtt_s * 1000,
		jitter_ms: after.jitter_s * 1000,
		loss: lost / (lost + after.packets - before.packets),
		freezes: after.freezes,
		latency_ms,
	};
	const known = ([, value]) => Number.isFinite(value) && value >= 0;
	return Object.fromEntries(Object.entries(figures).filter(known));
}
