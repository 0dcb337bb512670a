const NONE = {
	framesDecoded: 0, framesReceived: 0, bytesReceived: 0, packetsReceived: 0, packetsLost: 0,
};

export function readStats(report, track) {
	const entries = [...report.values()];
	const sum = (name) => entries.reduce((total, entry) => total + (entry[name] ?? 0), 0);
	const isOurs = (id) => !track || id === track.id;
	const video = entries.find(({ type, kind, trackIdentifier }) => (
		type === 'inbound-rtp' && kind === 'video' && isOurs(trackIdentifier)));
	const pair = entries.find(({ nominated, state }) => nominated && state === 'succeeded');
	return {
		...NONE,
		...video,
		activity: sum('bytesReceived') + sum('reportsSent'),
		rtt_s: pair?.currentRoundTripTime,
		codec: report.get(video?.codecId)?.mimeType.split('/')[1],
	};
}

export const NO_STATS = readStats(new Map());
