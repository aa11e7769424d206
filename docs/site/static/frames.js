// Sliders over pictures, or a table, that were drawn beforehand. Where two sliders were not drawn together, moving one resets the other.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".frames")) {
    const { sliders, frames } = JSON.parse(box.querySelector("script").textContent);
    const inputs = [...box.querySelectorAll("input")];
    const picture = box.querySelector("img"), listing = box.querySelector(".listing");
    const plain = document.createElement("textarea"); // alt text is kept as HTML
    const show = (moved) => {
      const place = () => inputs.map((input) => input.value).join(",");
      if (!frames[place()]) inputs.forEach((input, k) => { if (input !== moved) input.value = sliders[k].start; });
      const [source, alt] = frames[place()];
      if (listing) {
        listing.innerHTML = source;
      } else {
        plain.innerHTML = alt;
        picture.src = source;
        picture.alt = plain.value;
      }
      inputs.forEach((input, k) => {
        const value = sliders[k].values[input.value];
        input.setAttribute("aria-valuetext", value);
        input.nextElementSibling.textContent = value;
      });
    };
    inputs.forEach((input) => input.addEventListener("input", () => show(input)));
  }
});
