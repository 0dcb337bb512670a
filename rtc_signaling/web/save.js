/** Save pictures and video as files, and copy texts. */

/** Save the picture of a `View` as it is shown, named by its header stamp. */
export async function savePicture({ video, client, metadata }, { turn, mirrored }) {
	const { videoWidth: width, videoHeight: height } = video;
	const canvas = document.createElement('canvas');
	[canvas.width, canvas.height] = turn % 180 ? [height, width] : [width, height];
	const context = canvas.getContext('2d');
	context.translate(canvas.width / 2, canvas.height / 2);
	context.scale(mirrored ? -1 : 1, 1);
	context.rotate((turn * Math.PI) / 180);
	context.drawImage(video, -width / 2, -height / 2);
	const { sender } = client;
	const blob = await new Promise((resolve) => { canvas.toBlob(resolve); });
	const stamp = await client.timing?.stampOf(metadata?.rtpTimestamp);
	return save(blob, stamp ? `${sender}_${time(stamp)}.png` : `${sender}_saved_${time()}.png`);
}

/** Record a stream from now on; the file is saved when the recorder stops, or the video. */
export function record({ video, client }, onEnd) {
	const recorder = new MediaRecorder(video.srcObject, { mimeType: 'video/webm' });
	const name = `${client.sender}_${time()}.webm`;
	const parts = [];
	recorder.ondataavailable = ({ data }) => parts.push(data);
	recorder.onstop = () => onEnd(save(new Blob(parts, { type: 'video/webm' }), name));
	recorder.start(1000);
	return recorder;
}

/** Copy a text; navigator.clipboard is missing without TLS. */
export function copy(text) {
	const focused = document.activeElement;
	const area = document.createElement('textarea');
	area.value = text;
	focused.after(area);
	area.select();
	const copied = document.execCommand('copy');
	area.remove();
	focused.focus();
	return copied;
}

function time(ms = Date.now()) {
	return new Date(ms).toISOString().replaceAll(':', '-'); // no file system minds
}

function save(blob, name) {
	const href = URL.createObjectURL(blob);
	Object.assign(document.createElement('a'), { href, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(href), 60000);
	return name;
}
