const ASK_MS = 1000;
const SAMPLES = 16;
const DRIFT = 15e-6; // that clocks run apart at most (RFC 5905)
const MAX_ERROR_MS = 250;
const WINDOW_MS = 3000;
const MAX_WAITING = 256;
const MAX_AGE_MS = 60000;

export class Offset {
	#samples = [];

	add(t0, t1, t2, t3) {
		const now = { at: t3, offset: (t1 - t0 + t2 - t3) / 2, error: (t3 - t0 - t2 + t1) / 2 };
		const grown = (one) => ({ ...one, at: t3, error: one.error + DRIFT * (t3 - one.at) });
		const before = this.#samples.map(grown);
		const excludes = (one) => Math.abs(one.offset - now.offset) > one.error + now.error;
		this.#samples = before.some(excludes) ? [now] : [...before, now].slice(-SAMPLES);
		return this.#samples.reduce((best, one) => (one.error < best.error ? one : best));
	}
}

function stampIn(runs, rtp) {
	// RTP timestamps have 32 bits, as `>>> 0` has.
	const run = runs.find(([first, last]) => rtp - first >>> 0 <= last - first >>> 0);
	return run && run[2] / 1000 + (rtp - run[0] >>> 0) / 90;
}

export class Ages {
	#waiting = [];
	#ages = [];

	presented(rtp, at) {
		this.#waiting = [...this.#waiting, { rtp, at }].slice(-MAX_WAITING);
	}

	stamped(runs, { offset, error }) {
		this.#waiting = this.#waiting.filter(({ rtp, at }) => {
			const stamp = stampIn(runs, rtp);
			if (stamp !== undefined) this.#ages.push({ at, age: at + offset - stamp, error });
			return stamp === undefined;
		});
	}

	at(now) {
		this.#ages = this.#ages.filter(({ at }) => now - at < WINDOW_MS);
		const error_ms = Math.max(0, ...this.#ages.map(({ error }) => error));
		if (!this.#ages.length || error_ms > MAX_ERROR_MS) return { unknown: 'waiting' };
		const ordered = this.#ages.map(({ age }) => age).sort((a, b) => a - b);
		const [p50, p95] = [0.5, 0.95].map((q) => ordered[Math.ceil(q * ordered.length) - 1]);
		if (p50 < -error_ms - 1 || p95 > MAX_AGE_MS) return { unknown: 'clocks' };
		return { p50_ms: Math.max(p50, 0), p95_ms: Math.max(p95, 0), error_ms };
	}
}

export class Timing {
	sent_fps;
	#channel;
	#wait_ms = 0;
	#offset = new Offset();
	#ages = new Ages();
	#unknown = 'requestVideoFrameCallback' in HTMLVideoElement.prototype ? 'robot' : 'browser';
	#runs = [];
	#counts = [];

	open(pc, transceiver) {
		this.#channel = pc.createDataChannel('timing', { ordered: false, maxRetransmits: 0 });
		this.#channel.onopen = () => this.#ask(transceiver.mid);
		this.#channel.onmessage = ({ data }) => this.#heard(JSON.parse(data), performance.now());
	}

	presented({ rtpTimestamp, expectedDisplayTime }) {
		if (rtpTimestamp === undefined) this.#unknown = 'browser';
		else this.#ages.presented(rtpTimestamp, expectedDisplayTime);
	}

	get latency() {
		const unknown = this.#unknown;
		return unknown ? { unknown } : this.#ages.at(performance.now());
	}

	async stampOf(rtp) {
		let stamp;
		for (let tries = 0; tries < 10 && rtp !== undefined && stamp === undefined; tries += 1) {
			if (tries) await new Promise((resolve) => { setTimeout(resolve, ASK_MS / 4); });
			stamp = stampIn(this.#runs, rtp);
		}
		return stamp;
	}

	#ask(mid) {
		if (this.#channel.readyState !== 'open') return;
		this.#channel.send(JSON.stringify({ type: 'ping', t0: performance.now(), mid }));
		this.#wait_ms = Math.min(this.#wait_ms + 100, ASK_MS);
		setTimeout(() => this.#ask(mid), this.#wait_ms);
	}

	#heard({ type, t0, t1_us, t2_us, runs, simulated, pictures }, at) {
		if (type !== 'pong') return;
		this.#runs = runs;
		this.#counts = [...this.#counts.slice(-4), { at, pictures }];
		const [first] = this.#counts;
		this.sent_fps = (pictures - first.pictures) / ((at - first.at) / 1000);
		if (this.#unknown === 'browser') return;
		this.#unknown = simulated ? 'simulated' : null;
		if (simulated) return;
		this.#ages.stamped(runs, this.#offset.add(t0, t1_us / 1000, t2_us / 1000, at));
	}
}
