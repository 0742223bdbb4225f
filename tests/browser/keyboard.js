() => {
  // Number all controls, and say how many the keyboard has to reach.
  const all = "a[href], button, input, select, audio[controls], .scroll, [role=button]";
  window.controls = [...document.querySelectorAll(all)].filter((one) => one.checkVisibility());
  return window.controls.length;
}
