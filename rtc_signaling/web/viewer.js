import { ALL, Cameras } from './cameras.js';
import { connect } from './client.js';
import { Details } from './details.js';
import { copy, record, savePicture } from './save.js';
import { describeError } from './text.js';
import { View } from './view.js';

const NOTE_MS = 8000;
const REFRESH_MS = 200;
const TOKEN_KEY = 'rtc_signaling.token';

const root = document.documentElement;
const at = (id) => document.getElementById(id);
const video = at('video');

function tokenIn(text) {
	const [, fragment = ''] = text.split('#');
	return new URLSearchParams(fragment.replaceAll('+', '%2B')).get('token');
}

function stored(token) {
	try {
		if (token !== undefined) sessionStorage.setItem(TOKEN_KEY, token);
		return sessionStorage.getItem(TOKEN_KEY) ?? '';
	} catch {
		return token ?? '';
	}
}

function takeToken() {
	const token = tokenIn(location.hash);
	if (token === null) return null;
	history.replaceState(history.state, '', location.pathname + location.search);
	return stored(token);
}

const client = connect({ token: takeToken() ?? stored() });
window.rtcViewer = client;
const view = new View(video, client);
const cameras = new Cameras(at('cameras'), at('stage'), at('tile'), view);
const details = new Details(at('list'), at('path'), at('scale'));
const actions = new Map();
let turn = 0;
let mirrored = false;
let keys = true;
let recorder = null;

const isGrid = () => cameras.chosen === ALL;

function show(id, text = '') {
	const element = at(id);
	if (element.textContent !== text) element.textContent = text;
	element.hidden = !text;
}

function tell(id, text) {
	show(id, text);
	clearTimeout(at(id).timer);
	at(id).timer = setTimeout(show, NOTE_MS, id, '');
}

function refresh() {
	const { cause, name, retryAt } = client.detail;
	const { shown, moves, frozenFor, age, state, pill, line, hint } = view.read();
	Object.assign(root.dataset, { state, cause: cause ?? '' });
	const quiet = state === 'live' && !cause && !view.blocked && at('error').hidden;
	root.toggleAttribute('data-picture', shown);
	root.toggleAttribute('data-quiet', quiet);
	root.toggleAttribute('data-recording', recorder);
	at('main').toggleAttribute('data-frozen', frozenFor);
	const figures = `${video.videoWidth}×${video.videoHeight} · ${Math.round(view.fps)} fps`;
	const wait_s = Math.max(Math.ceil((retryAt - performance.now()) / 1000), 0);
	const texts = {
		pill, line, hint, frozen: frozenFor,
		countdown: retryAt ? `Trying again in ${wait_s} s` : '',
		caption: quiet && isGrid() ? name : '',
		age: moves ? age.text : '', figures: moves && view.fps ? figures : '',
	};
	if (name || !shown) texts.camera = at('cameras').hidden ? name ?? '' : '';
	for (const [id, text] of Object.entries(texts)) show(id, text);
	Object.assign(at('age'), { title: age.title }).dataset.age = age.level;
	at('play').hidden = !view.blocked;
	at('again').hidden = cause !== 'closed';
	const opens = at('login').hidden && state === 'refused';
	at('login').hidden = state !== 'refused';
	if (opens) at('token').focus();
	for (const { button, isOn } of actions.values()) if (isOn) button.ariaPressed = isOn();
	cameras.update();
	details.update(view);
	document.title = `${pill} · rtc_signaling`;
}

function toggleFullScreen() {
	if (document.fullscreenElement) return document.exitFullscreen();
	return root.requestFullscreen?.() ?? video.webkitEnterFullscreen();
}

function togglePictureInPicture() {
	if (document.pictureInPictureElement) return document.exitPictureInPicture();
	return video.requestPictureInPicture();
}

function toggleRecording() {
	if (recorder) return recorder.stop();
	recorder = record(view, (note) => {
		recorder = null;
		tell('note', note);
	});
}

function reshape() {
	video.style.transform = `translate(-50%,-50%) scaleX(${mirrored ? -1 : 1}) rotate(${turn}deg)`;
	video.toggleAttribute('data-across', turn % 180);
}

function share(text) {
	copy(text);
	tell('note', 'Copied.');
}

async function run(act) {
	try {
		await act();
	} catch ({ message }) {
		tell('note', `Not possible here: ${message}`);
	}
	refresh();
}

function add(key, label, act, isOn) {
	const button = document.createElement('button');
	Object.assign(button, { textContent: label, onclick: () => run(act) }).dataset.key = key;
	at('menu').append(button);
	actions.set(key, { button, act, isOn });
}

add('i', 'Details', () => at('details').toggleAttribute('hidden'), () => !at('details').hidden);
add('f', 'Full screen', toggleFullScreen, () => !!document.fullscreenElement);
add('p', 'Picture in picture', togglePictureInPicture, () => !!document.pictureInPictureElement);
add('s', 'Save the picture', async () => tell('note', await savePicture(view)));
add('v', 'Record', toggleRecording, () => !!recorder);
add('r', 'Rotate', () => { turn = (turn + 90) % 360; reshape(); });
add('m', 'Mirror', () => { mirrored = !mirrored; reshape(); }, () => mirrored);
add('a', 'All cameras', () => cameras.choose(isGrid() ? client.sender : ALL), isGrid);
add('c', 'Copy the link', () => share(location.href));
add('t', 'Copy the link with the token',
	() => share(`${location.href}#token=${encodeURIComponent(stored())}`));
add('k', 'Keys', () => { keys = !keys; }, () => keys);

client.addEventListener('state', refresh);
client.addEventListener('error', ({ detail }) => {
	if (detail.code !== 'unauthorized') tell('error', describeError(detail));
});
video.ondblclick = () => run(toggleFullScreen);
at('play').onclick = () => view.play();
at('again').onclick = () => client.start();
at('copy').onclick = () => {
	const figures = { at: new Date(), camera: client.sender, ...details.figures };
	share(JSON.stringify(figures, null, 2));
};
at('login').onsubmit = (event) => {
	event.preventDefault();
	const input = at('token').value.trim();
	at('token').value = '';
	client.login(stored(tokenIn(input) ?? input));
};
document.onkeydown = ({ key, ctrlKey, metaKey, altKey, repeat, target }) => {
	if (ctrlKey || metaKey || altKey || repeat || target.closest?.('input, select')) return;
	if (actions.has(key) && (keys || key === 'k')) run(actions.get(key).act);
};
document.onvisibilitychange = () => {
	if (document.hidden) return;
	View.visibleSince = performance.now();
	client.wake();
};
window.ononline = window.onoffline = () => client.wake();
window.onhashchange = () => {
	const token = takeToken();
	if (token !== null) client.login(token);
};
window.onpagehide = () => {
	cameras.update(false);
	client.stop();
};
window.onpageshow = ({ persisted }) => {
	if (persisted) client.start();
};

setInterval(refresh, REFRESH_MS);
refresh();
