const READINGS = 300; // five a second
const ROWS = { // of what: [label, unit, factor, digits]
	frameWidth: ['Width', ' px'],
	frameHeight: ['Height', ' px'],
	codec: ['Codec'],
	sent_fps: ['Sent', '/s'],
	received_fps: ['Received', '/s'],
	rendered_fps: ['Rendered', '/s'],
	bitrate_bps: ['Bit rate', ' Mbit/s', 1e-6, 2],
	rtt_ms: ['Round trip', ' ms'],
	jitter_ms: ['Jitter', ' ms', 1, 1],
	loss: ['Loss', ' %', 100, 1],
	freezes: ['Freezes'],
	framesDropped: ['Dropped'],
	latency_ms: ['Age, median', ' ms'],
	latency_p95_ms: ['Age, 95 %', ' ms'],
};

export class Details {
	figures = {};
	#cells = {};
	#ages = [];

	constructor(list, path, scale) {
		Object.assign(this, { path, scale });
		for (const [key, [label]] of Object.entries(ROWS)) {
			const name = document.createElement('dt');
			name.append(label);
			this.#cells[key] = document.createElement('dd');
			list.append(name, this.#cells[key]);
		}
	}

	update({ client, fps }) {
		const { media } = client;
		this.figures = media?.flows(3) ? { ...media.parts[0].details, rendered_fps: fps } : {};
		this.#ages = [...this.#ages, client.timing?.latency.p50_ms].slice(-READINGS);
		for (const [key, [, unit = '', factor = 1, digits = 0]] of Object.entries(ROWS)) {
			const value = this.figures[key];
			const known = Number.isFinite(value);
			const text = known ? (value * factor).toFixed(digits) + unit : value || '–';
			this.#cells[key].textContent = text;
		}
		const most = Math.ceil(Math.max(100, ...this.#ages.map((age) => age ?? 0)) / 100) * 100;
		const points = this.#ages.map((age, x) => {
			const step = this.#ages[x - 1] === undefined ? 'M' : 'L';
			return age === undefined ? '' : `${step}${x} ${100 - (age / most) * 100}`;
		});
		this.path.setAttribute('d', points.join(''));
		this.scale.textContent = `Age, 0 to ${most} ms`;
	}
}
