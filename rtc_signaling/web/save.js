export async function savePicture({ video, client, metadata }) {
	const { sender } = client;
	const canvas = document.createElement('canvas');
	canvas.width = video.videoWidth;
	canvas.height = video.videoHeight;
	canvas.getContext('2d').drawImage(video, 0, 0);
	const blob = await new Promise((resolve) => { canvas.toBlob(resolve); });
	const stamp = await client.timing?.stampOf(metadata?.rtpTimestamp);
	return save(blob, `${sender}_${stamp ? time(stamp) : `saved_${time()}`}.png`);
}

export function record({ video, client }, onEnd) {
	const type = 'video/webm';
	const recorder = new MediaRecorder(video.srcObject, { mimeType: type });
	const name = `${client.sender}_${time()}.webm`;
	const parts = [];
	recorder.ondataavailable = ({ data }) => parts.push(data);
	recorder.onstop = () => onEnd(save(new Blob(parts, { type }), name));
	recorder.start(1000);
	return recorder;
}

export function copy(text) {
	const focused = document.activeElement;
	const area = document.createElement('textarea');
	area.value = text;
	focused.after(area);
	area.select();
	document.execCommand('copy');
	area.remove();
	focused.focus();
}

function time(ms = Date.now()) {
	return new Date(ms).toISOString().replaceAll(':', '-');
}

function save(blob, name) {
	const href = URL.createObjectURL(blob);
	Object.assign(document.createElement('a'), { href, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(href), 60000);
	return `Saved ${name}`;
}
