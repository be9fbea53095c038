package reports

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	drydock "drydock.dev/drydock/harness/plan"
)

// chart draws a plot as SVG to be put into the page.
func chart(p drydock.Plot) (template.HTML, error) {
	c := plot.New()
	c.Title.Text, c.X.Label.Text, c.Y.Label.Text = p.Title, p.X, p.Y
	c.Legend.Top, c.Legend.Left = true, true
	c.Add(plotter.NewGrid())
	colors := []color.RGBA{{R: 0x1b, G: 0x6c, B: 0xa8, A: 255}, {R: 0xc0, G: 0x6c, A: 255}, {R: 0x2a, G: 0x82, B: 0x3c, A: 255}, {R: 0x7a, G: 0x4c, B: 0xa0, A: 255}}
	red := color.RGBA{R: 0xb0, A: 255}
	for i, l := range p.Lines {
		line, err := plotter.NewLine(points(l.Points))
		if err != nil {
			return "", fmt.Errorf("plot %s, line %s: %w", p.Title, l.Name, err)
		}
		line.Color, line.Width, line.StepStyle = colors[i%len(colors)], vg.Points(1.5), plotter.PostStep
		c.Add(line)
		c.Legend.Add(l.Name, line)
		if len(l.Marks) == 0 {
			continue
		}
		marks, err := plotter.NewScatter(points(l.Marks))
		if err != nil {
			return "", fmt.Errorf("plot %s, line %s: %w", p.Title, l.Name, err)
		}
		marks.Color, marks.Radius, marks.Shape = red, vg.Points(2), draw.CrossGlyph{}
		c.Add(marks)
	}
	canvas := vgsvg.New(18*vg.Centimeter, 9*vg.Centimeter)
	c.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", fmt.Errorf("plot %s: %w", p.Title, err)
	}
	svg := b.Bytes()
	if i := bytes.Index(svg, []byte("<svg")); i > 0 { // the page is one document: no prologue inside it
		svg = svg[i:]
	}
	return template.HTML(svg), nil //nolint:gosec // drawn here, with its texts escaped by the library
}

func points(from [][2]float64) plotter.XYs {
	out := make(plotter.XYs, len(from))
	for i, p := range from {
		out[i].X, out[i].Y = p[0], p[1]
	}
	return out
}
