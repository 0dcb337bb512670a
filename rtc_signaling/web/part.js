/** One camera's pictures in a peer connection: their figures, and how old they are. */

import { NO_STATS, readStats } from './stats.js';
import { Timing } from './timing.js';

const REPORT_MS = 1750; // every 2 s, polled twice a second

const now = () => performance.now();

export class Part {
	framesAt = null;
	stats = NO_STATS;
	details = null;
	isOff = false;
	timing = new Timing();
	#polledAt = 0;
	#reported; // {at, stats} of the last report

	constructor(id) {
		this.id = id;
		this.name = id.split('/')[1];
	}

	begin() { this.#reported = { at: now(), stats: NO_STATS }; }

	async poll(source) {
		const before = this.stats;
		this.stats = readStats(await source.getStats());
		this.#polledAt = now();
		if (this.stats.framesDecoded === before.framesDecoded) return;
		this.framesAt = this.#polledAt;
		this.isOff = false;
	}

	report() {
		const { at, stats } = this.#reported ?? {};
		if (!(this.#polledAt - at > REPORT_MS)) return null;
		const since = (name) => Math.max(this.stats[name] - stats[name], 0); // a loss is taken back
		const rate = (name) => (since(name) * 1000) / (this.#polledAt - at);
		const { latency, sent_fps } = this.timing;
		const report = {
			fps: rate('framesDecoded'),
			bitrate_bps: rate('bytesReceived') * 8,
			rtt_ms: this.stats.rtt_s * 1000,
			jitter_ms: this.stats.jitter * 1000,
			loss: since('packetsLost') / (since('packetsLost') + since('packetsReceived')),
			freezes: this.stats.freezeCount,
			latency_ms: latency.p50_ms,
		};
		this.details = {
			...this.stats, ...report, sent_fps, latency_p95_ms: latency.p95_ms,
			received_fps: rate('framesReceived'),
		};
		this.#reported = { at: this.#polledAt, stats: this.stats };
		const known = ([, value]) => Number.isFinite(value);
		return { ...Object.fromEntries(Object.entries(report).filter(known)), camera: this.name };
	}
}
