// One clip at a time; the button of the clip that plays is pressed.
const audio = new Audio();
let playing = null;
function show(button) {
  if (playing) playing.setAttribute("aria-pressed", "false");
  playing = button;
  if (playing) playing.setAttribute("aria-pressed", "true");
}
audio.addEventListener("ended", () => show(null));
for (const button of document.querySelectorAll(".play")) {
  button.addEventListener("click", () => {
    if (playing === button) { audio.pause(); show(null); return; }
    audio.src = button.dataset.src;
    show(button);
    audio.play().catch((error) => { show(null); button.title = `This clip cannot be played: ${error.message}`; });
  });
}
