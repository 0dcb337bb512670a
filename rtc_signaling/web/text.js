const PILLS = {
	authenticating: 'logging in', negotiating: 'starting', failed: 'no video', no_token: 'log in',
};

const CONNECTING = {
	unreachable: (host) => [
		`The robot's server does not answer at ${host}.`,
		'Is the robot switched on, and is this device in the same network?',
	],
	full: () => [
		"The robot's server refuses the connection.",
		'Too many viewers or attempts: wait. Or does it not admit this page?',
	],
	unwell: () => ["The robot's server is not well.", 'Its log and its /healthz say why.'],
	no_network: () => [
		'This device is not connected to any network.', "Connect it to the robot's.",
	],
	lost: (host, error, code) => [
		`The robot's server at ${host} ended the connection.`,
		error ? describeError(error) : CLOSES[code],
	],
};

const FAILED = {
	blocked: [
		'The network between this device and the robot blocks video.',
		'Only the server is reachable. A firewall, or separate networks? Then use a TURN server.',
	],
	no_answer: [
		"The robot's camera does not answer.",
		'It is registered but silent: see the log of camera_sender.',
	],
	busy: ["The robot's camera has as many viewers as it serves.", 'Close one of them, or wait.'],
	disabled: ["The robot's camera is switched off.", 'Somebody has to switch it on at the robot.'],
	lost: [
		"The robot's camera heard nothing from this device any more.",
		'Trying again. A bad network, or was this device asleep?',
	],
	ended: ["The robot's camera has ended the video.", 'Trying again.'],
	no_codec: ["This browser cannot play the robot's video.", 'Try another browser.'],
};

const REFUSED = {
	no_token: ['This robot asks for an access token.'],
	wrong_token: [
		"The robot's server refused the token.", "Was it changed? Take it anew from the robot's log.",
	],
};

const CLOSES = {
	1001: 'It was stopped.',
	1011: 'It has an error.',
	4400: 'The server did not understand this page: reload it.',
	4403: 'This token does not allow to watch.',
	4404: 'The server knows no such camera.',
	4409: 'This viewer was opened again elsewhere.',
	4413: 'This device is too slow.',
};

const GONE = "The robot's camera is gone. Waiting for it to come back …";
const LEFT = [GONE, 'The server runs, but the camera has left it. Is camera_sender running?'];
const AWAY = [GONE, 'The server runs, but the camera lost its connection to it. Is its network up?'];

const FROZEN = {
	off: FAILED.disabled,
	none: ['No new picture is coming.', 'Is this device too busy, or the network bad?'],
	camera: [
		'The robot is connected, but its camera sends no pictures.',
		'Is the camera plugged in, and is its driver running?',
	],
	silent: ['Nothing comes from the robot any more.', 'Trying again. Is the network bad?'],
};

const ERRORS = {
	forbidden_camera: 'The token is not for this camera.',
	peer_unavailable: "The robot's camera is not reachable just now.",
	no_ack: 'The server does not answer this page.',
	rate_limited: 'This page sent too much, and waits.',
	webrtc: 'The browser refused a step of setting up video.',
};

const AGE_UNKNOWN = {
	browser: 'This browser does not tell which picture it shows.',
	robot: 'The camera does not tell the time.',
	simulated: "The camera's time is simulated.",
	clocks: "The stamps are not of the robot's clock, or that was set.",
	waiting: 'Not measured yet.',
};

export function describeAge({ unknown, p50_ms, p95_ms, error_ms } = { unknown: 'waiting' }) {
	if (unknown) {
		const text = unknown === 'clocks' ? 'clocks differ' : 'age unknown';
		return { level: 'unknown', text, title: AGE_UNKNOWN[unknown] };
	}
	const words = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
	const title = `Camera to screen; 95 % within ${words(p95_ms)}, clocks ±${words(error_ms)}`;
	const level = p50_ms > 1000 ? 'old' : p50_ms > 500 ? 'late' : 'fresh';
	return { level, text: words(p50_ms), title };
}

export function describeError({ code, message }) {
	const words = ERRORS[code] ?? `The server reports an error (${code}).`;
	return message ? `${words} (${message})` : words;
}

export function describe(detail, shown, frozen, host) {
	let { state } = detail;
	// As the eye has it.
	if (state === 'live') state = frozen ? 'frozen' : shown ? 'live' : 'negotiating';
	const [line, hint] = sentences(state, detail, frozen, host);
	let pill = PILLS[detail.cause] ?? PILLS[state] ?? state;
	if (state === 'frozen' && !shown) pill = 'no picture';
	return { state, pill, line, hint };
}

function sentences(state, { cause, code, error, flows, reason }, frozen, host) {
	const connecting = CONNECTING[cause]?.(host, error, code);
	switch (state) {
		case 'connecting': return connecting ?? ["Connecting to the robot's server …"];
		case 'authenticating': return ['Logging in …'];
		case 'waiting':
			if (reason === 'away') return AWAY;
			return cause === 'lost' ? LEFT : ["Waiting for the robot's camera …",
				'The server runs, but has no camera yet. Is camera_sender running?'];
		case 'negotiating':
			return [flows ? 'Connected. Waiting for the first picture …' : 'Setting up video …'];
		case 'live':
			return [cause ? 'The camera has lost the server; the video goes on.' : 'Live.'];
		case 'frozen': return cause ? LEFT : FROZEN[frozen];
		case 'reconnecting':
			if (flows && !frozen) return ['Server lost; the video goes on.'];
			return ['Server lost, and no video comes.', connecting?.join(' ')];
		case 'refused': return REFUSED[cause];
		default:
			if (cause !== 'closed') {
				return FAILED[cause] ?? ['Video could not be set up.', ERRORS[cause]];
			}
			return [CLOSES[code] ?? `The server ended the connection for good (code ${code}).`,
				error && describeError(error)];
	}
}
