/*
Copyright 2026 The Dynamic MCP Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package dataplane

import (
	"net/http"
	"regexp"
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dynamic-mcp/dynamic-mcp/internal/mcp/config"
)

// three are the targets of most stories: server-everything twice, so that every name collides, and a sample.
func three(t *testing.T) ([]config.Target, *sample) {
	t.Helper()
	s := newSample(t, "sample")
	return []config.Target{
		target(t, "first", everything(t, 0).URL()), target(t, "second", everything(t, 1).URL()), s.target(),
	}, s
}

// everythingTools returns what server-everything lists to such a client when nothing is between them.
func everythingTools(t *testing.T, connect func(*testing.T, string) client, what string) []string {
	t.Helper()
	c := connect(t, everything(t, 0).URL())
	got := names(t, c, what)
	NewWithT(t).Expect(c.close()).To(Succeed())
	return got
}

func TestOneServerIsListedAsItIs(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		c := connect(t, newGateway(t, []config.Target{target(t, "first", everything(t, 0).URL())}).url)
		for _, what := range []string{"tools", "prompts", "resources", "templates"} {
			g.Expect(names(t, c, what)).To(Equal(everythingTools(t, connect, what)), what)
		}
		g.Expect(called(t, c, "echo", message("hi"))).To(Equal("Echo: hi"))
		g.Expect(called(t, c, "get-sum", map[string]any{"a": 2, "b": 3})).To(ContainSubstring("5"))
		g.Expect(c.prompt(within(t), "simple-prompt", nil)).To(ContainSubstring("simple prompt"))
		g.Expect(c.read(within(t), "demo://resource/dynamic/text/1")).To(HavePrefix("demo://resource/dynamic/text/1: Resource 1"))
		g.Expect(c.close()).To(Succeed())
	})
}

func TestThreeServersAreOneList(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		targets, _ := three(t)
		c := connect(t, newGateway(t, targets).url)
		tools := everythingTools(t, connect, "tools")
		own := slices.Clone(sampleTools)
		own[slices.Index(own, "echo")] = "sample_echo" // Three have it.
		g.Expect(names(t, c, "tools")).To(Equal(slices.Concat(tools, qualified("second", tools...), own)))

		prompts := everythingTools(t, connect, "prompts")
		g.Expect(names(t, c, "prompts")).To(Equal(slices.Concat(prompts, qualified("second", prompts...), []string{"greet"})))

		var second []string
		resources := everythingTools(t, connect, "resources")
		for _, uri := range resources {
			second = append(second, "second+"+uri)
		}
		g.Expect(names(t, c, "resources")).To(Equal(slices.Concat(resources, second, []string{"demo://note"})))

		second = nil
		templates := everythingTools(t, connect, "templates")
		for _, uri := range templates {
			second = append(second, "second+"+uri)
		}
		g.Expect(names(t, c, "templates")).To(Equal(slices.Concat(templates, second, []string{"demo://item/{id}"})))
		g.Expect(c.close()).To(Succeed())
	})
}

func TestCallsReachTheServerThatIsNamed(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		g := NewWithT(t)
		elder, younger := newSample(t, "elder"), newStatelessSample(t, "younger")
		c := connect(t, newGateway(t, []config.Target{
			elder.target(), younger.target(), target(t, "everything", everything(t, 0).URL()),
		}).url)
		for tool, want := range map[string]string{
			"echo":            "elder: hi",
			"elder_echo":      "elder: hi",
			"younger_echo":    "younger: hi",
			"everything_echo": "Echo: hi",
		} {
			g.Expect(called(t, c, tool, message("hi"))).To(Equal(want), tool)
		}
		for tool, want := range map[string]string{"add": "5", "younger_add": "5", "get-sum": "The sum of 2 and 3 is 5.", "everything_get-sum": "The sum of 2 and 3 is 5."} {
			g.Expect(called(t, c, tool, map[string]any{"a": 2, "b": 3})).To(Equal(want), tool)
		}
		for prompt, want := range map[string]string{"greet": "elder greets you", "younger_greet": "younger greets you"} {
			g.Expect(c.prompt(within(t), prompt, map[string]string{"who": "you"})).To(Equal(want), prompt)
		}
		for uri, want := range map[string]string{
			"demo://note":            "elder",
			"elder+demo://note":      "elder",
			"younger+demo://note":    "younger",
			"demo://item/7":          "elder",
			"younger+demo://item/7":  "younger",
			"elder+demo://item/a%20": "elder",
		} {
			g.Expect(c.read(within(t), uri)).To(Equal(uri+": "+want), uri)
		}
		g.Expect(c.read(within(t), "everything+demo://resource/dynamic/text/1")).
			To(HavePrefix("everything+demo://resource/dynamic/text/1: Resource 1"))

		for tool, want := range map[string]string{"nope": "Unknown tool: nope", "younger_nope": "Unknown tool: younger_nope"} {
			_, err := c.call(within(t), tool, nil, "")
			g.Expect(err).To(MatchError(ContainSubstring(want)))
		}
		g.Expect(c.close()).To(Succeed())
	})
}

func TestPrefixModes(t *testing.T) {
	eachEra(t, func(t *testing.T, connect func(*testing.T, string) client) {
		elder, younger := newSample(t, "elder"), newSample(t, "younger")
		targets := []config.Target{elder.target(), younger.target()}
		for mode, want := range map[config.PrefixMode][]string{
			config.PrefixAlways:     slices.Concat(qualified("elder", sampleTools...), qualified("younger", sampleTools...)),
			config.PrefixOnConflict: slices.Concat(sampleTools, qualified("younger", sampleTools...)),
			config.PrefixNever:      sampleTools,
		} {
			t.Run(string(mode), func(t *testing.T) {
				g := NewWithT(t)
				c := connect(t, newGateway(t, targets, withBackend(func(b *config.Backend) { b.PrefixMode = mode })).url)
				g.Expect(names(t, c, "tools")).To(Equal(want))
				g.Expect(called(t, c, "younger_echo", message("hi"))).To(Equal("younger: hi"))
				g.Expect(called(t, c, "elder_echo", message("hi"))).To(Equal("elder: hi"))
				g.Expect(c.close()).To(Succeed())
			})
		}
	})
}

// TestLinksLeadToTheirServer: both servers have the resources that the tool links to.
func TestLinksLeadToTheirServer(t *testing.T) {
	for name, mode := range map[string]config.PrefixMode{"OnConflict": config.PrefixOnConflict, "Always": config.PrefixAlways} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			targets := []config.Target{target(t, "first", everything(t, 0).URL()), target(t, "second", everything(t, 1).URL())}
			c := newRawClient(t, newGateway(t, targets, withBackend(func(b *config.Backend) { b.PrefixMode = mode })).url)
			c.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
			_, answer := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"second_get-resource-links","arguments":{"count":2}}}`)
			links := regexp.MustCompile(`"uri":"([^"]*)"`).FindAllStringSubmatch(answer, -1)
			g.Expect(links).To(HaveLen(2), answer)
			for _, link := range links {
				g.Expect(link[1]).To(HavePrefix("second+demo://resource/dynamic/"))
				_, read := c.post(`{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"` + link[1] + `"}}`)
				g.Expect(read).To(ContainSubstring(`"uri":"` + link[1] + `"`))
			}
			g.Expect(c.do(http.MethodDelete, "").Body.Close()).To(Succeed())
		})
	}
}
