/** The details: the figures of the last 2 s, and a plot of the pictures' age. */

const READINGS = 120; // of the plot, two a second
const ROWS = { // of what: [label, unit, factor, digits]
	size: ['Resolution'],
	codec: ['Codec'],
	sent_fps: ['Sent', '/s'],
	received_fps: ['Received', '/s'],
	rendered_fps: ['Rendered', '/s'],
	bitrate_bps: ['Bit rate', ' Mbit/s', 1e-6, 2],
	rtt_ms: ['Round trip', ' ms'],
	jitter_ms: ['Jitter', ' ms', 1, 1],
	loss: ['Loss', ' %', 100, 1],
	freezes: ['Freezes'],
	dropped: ['Dropped'],
	latency_ms: ['Age, median', ' ms'],
	latency_p95_ms: ['Age, 95 %', ' ms'],
};

export class Details {
	figures = {};
	#ages = [];

	/** `list` is a dl, `plot` an svg with a path and a caption after it. */
	constructor(list, plot) {
		Object.assign(this, { list, plot });
		for (const [label] of Object.values(ROWS)) {
			for (const [tag, text] of [['dt', label], ['dd', '']]) {
				list.append(Object.assign(document.createElement(tag), { textContent: text }));
			}
		}
	}

	/** Take new figures of a `View`. */
	update({ client, fps }) {
		const { details } = client.figures;
		const { width, height } = details ?? {};
		const size = width && `${width}×${height}`;
		const age_ms = client.timing?.latency.p50_ms;
		this.figures = details ? { size, ...details, rendered_fps: fps ?? undefined } : {};
		this.#ages = [...this.#ages, age_ms].slice(-READINGS);
		Object.entries(ROWS).forEach(([key, [, unit = '', factor = 1, digits = 0]], row) => {
			const value = this.figures[key] ?? '–';
			const known = Number.isFinite(value);
			const text = known ? (value * factor).toFixed(digits) + unit : value;
			this.list.children[2 * row + 1].textContent = text;
		});
		this.#draw();
	}

	#draw() {
		const most = Math.ceil(Math.max(...this.#ages.filter(Number.isFinite), 100) / 100) * 100;
		let path = '';
		this.#ages.forEach((age, x) => {
			const joins = this.#ages[x - 1] !== undefined;
			if (age !== undefined) path += `${joins ? 'L' : 'M'}${x} ${40 - (age / most) * 40}`;
		});
		this.plot.firstElementChild.setAttribute('d', path);
		this.plot.nextElementSibling.textContent = `Age in the last minute, 0 to ${most} ms`;
	}
}
