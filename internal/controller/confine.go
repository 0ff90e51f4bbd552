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

package controller

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// NewClient returns how a manager with CacheOptions of the same namespaces makes its client. To the client, there is nothing
// in other namespaces; the cache would call it an error to look there, but references may lead anywhere.
func NewClient(namespaces ...string) client.NewClientFunc {
	return func(config *rest.Config, options client.Options) (client.Client, error) {
		c, err := client.New(config, options)
		if err != nil || len(namespaces) == 0 {
			return c, err
		}
		return &confinedClient{Client: c, namespaces: sets.New(namespaces...)}, nil
	}
}

type confinedClient struct {
	client.Client
	namespaces sets.Set[string]
}

// Get implements client.Reader.
func (c *confinedClient) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if c.sees(key.Namespace) {
		return c.Client.Get(ctx, key, object, options...)
	}
	gvk, err := apiutil.GVKForObject(object, c.Scheme())
	if err != nil {
		return err
	}
	return apierrors.NewNotFound(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, key.String())
}

// List implements client.Reader.
func (c *confinedClient) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	var applied client.ListOptions
	if c.sees(applied.ApplyOptions(options).Namespace) {
		return c.Client.List(ctx, list, options...)
	}
	return apimeta.SetList(list, nil)
}

// sees is whether there may be objects in a namespace; those without a namespace are seen.
func (c *confinedClient) sees(namespace string) bool {
	return namespace == "" || c.namespaces.Has(namespace)
}
