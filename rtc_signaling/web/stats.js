const NONE = {
	framesDecoded: 0, framesReceived: 0, bytesReceived: 0, packetsReceived: 0, packetsLost: 0,
};

export function readStats(report) {
	const entries = [...report.values()];
	const sum = (name) => entries.reduce((total, entry) => total + (entry[name] ?? 0), 0);
	const video = entries.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
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
