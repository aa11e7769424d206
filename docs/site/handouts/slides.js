// One slide after the other with ← and →; a slide that is longer than the screen scrolls with ↑ and ↓.
const arrive = () => {
  const slide = Reveal.getCurrentSlide();
  slide.tabIndex = slide.scrollHeight > slide.clientHeight ? 0 : -1;
  slide.focus({ preventScroll: true });
  slide.scrollTop = 0;
};
Reveal.on("ready", arrive);
Reveal.on("slidechanged", arrive);
Reveal.initialize({
  width: 1280,
  height: 720,
  margin: 0.01,
  center: false,
  hash: true,
  slideNumber: "c/t",
  transition: "none",
  navigationMode: "linear",
  keyboard: { 38: null, 40: null },
  plugins: [RevealMath.MathJax2],
  mathjax2: {
    mathjax: "mathjax/MathJax.js",
    config: "TeX-AMS-MML_HTMLorMML-full",
    showMathMenu: false,
    "HTML-CSS": { availableFonts: [], webFont: "STIX-Web", imageFont: null, scale: 85 },
  },
});
