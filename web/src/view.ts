/** View is what stands in the middle of the page. */
export interface View {
  title: string;
  el: HTMLElement;
  /** draw shows what is new; it is called whenever something is. */
  draw(): void;
  /** repaint is called when light becomes dark, or the other way. */
  repaint?(): void;
  close?(): void;
}
